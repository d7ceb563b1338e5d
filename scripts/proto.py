"""Generates longstream/v1 from proto/, or with --check says how the committed stubs differ and exits 1.

Run by grpcio-tools 1.80.0 of .venv: its code loads on protobuf 6.31.1 and every later 6 and 7.
"""

from __future__ import annotations

import argparse
import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("longstream/v1")


def generate(into: Path) -> None:
    """Write the whole package below `into`. Raises CalledProcessError if a proto file is wrong."""
    protos = sorted((ROOT / "proto" / PACKAGE).glob("*.proto"))
    outputs = [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", *outputs, *map(str, protos)]
    subprocess.run(command, check=True)
    (into / PACKAGE / "__init__.py").touch()


def differences(fresh: Path, committed: Path) -> list[str]:
    """Names of the files that are missing, superfluous or different in `committed`."""
    names = {file.name for folder in (fresh, committed) for file in folder.glob("*.py*")}
    _, different, missing = filecmp.cmpfiles(fresh, committed, sorted(names), shallow=False)
    return sorted(different + missing)


def rewrite(fresh: Path, committed: Path) -> None:
    """Make the files of `committed` those of `fresh`."""
    committed.mkdir(parents=True, exist_ok=True)
    for name in differences(fresh, committed):
        if (fresh / name).exists():
            (committed / name).write_bytes((fresh / name).read_bytes())
        else:
            (committed / name).unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if anything would change"
    )
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, committed = Path(folder) / PACKAGE, ROOT / PACKAGE
        changed = differences(fresh, committed)
        if not check:
            rewrite(fresh, committed)
    verb = "differs from proto/; run `make proto`" if check else "rewritten"
    print("\n".join(f"{PACKAGE / name}: {verb}" for name in changed) or f"{PACKAGE} is what proto/ says.")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
