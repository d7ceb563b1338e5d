"""Triton gets the one C module that it wants compiled from an image without a compiler, and nothing else from there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "images" / "triton"
ASK = "from triton.backends.nvidia.driver import CudaUtils; print(callable(CudaUtils().launch))"
HEADER = Path(sysconfig.get_paths(scheme="posix_prefix")["include"]) / "Python.h"

pytestmark = pytest.mark.skipif(
    not (HEADER.is_file() and shutil.which("gcc")),
    reason="it is compiled where images are built; here gcc or Python's headers are missing",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image holds."""
    folder = tmp_path_factory.mktemp("triton")
    shutil.copy(FOLDER / "cc", folder)
    subprocess.run([FOLDER / "build.sh", sys.executable, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def driver(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the place of NVIDIA's driver: a library of all names that the module asks of it."""
    folder = tmp_path_factory.mktemp("driver")
    wanted = subprocess.run(
        ["nm", "-D", "--undefined-only", built / "module.so"], capture_output=True, text=True, check=True
    ).stdout.split()
    source = "".join(f"int {name}(void) {{ return 1; }}\n" for name in wanted if name.startswith("cu"))
    assert "cuModuleLoadData" in source
    (folder / "driver.c").write_text(source, encoding="utf-8")
    library = ["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so.1")]
    subprocess.run(["gcc", str(folder / "driver.c"), *library], check=True)
    return folder


def ask(compiler: Path | None, driver: Path, cache: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    """Let Triton meet its driver for the first time, where nothing else compiles."""
    for name in ("dirname", "sha256sum", "cat", "cp"):
        (tools / name).symlink_to(str(shutil.which(name)))
    environ = {
        "PATH": str(tools),
        "TRITON_CACHE_DIR": str(cache),
        "TRITON_LIBCUDA_PATH": str(driver),
        "LD_LIBRARY_PATH": str(driver),
        **({"CC": str(compiler)} if compiler else {}),
    }
    return subprocess.run(
        [sys.executable, "-c", ASK], env=environ, capture_output=True, text=True, check=False
    )


def test_triton_takes_what_was_compiled_with_the_image(built: Path, driver: Path, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    told = ask(built / "cc", driver, tmp_path / "cache", tmp_path / "tools")
    assert told.stdout == "True\n", told.stderr


def test_without_it_triton_fails(driver: Path, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    told = ask(None, driver, tmp_path / "cache", tmp_path / "tools")
    assert "Failed to find C compiler" in told.stderr


@pytest.mark.parametrize("asked", [("other.c", "-o", "other.so"), ("--version",)])
def test_whatever_else_is_to_be_compiled_is_refused(
    built: Path, tmp_path: Path, asked: tuple[str, ...]
) -> None:
    (tmp_path / "other.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
    told = subprocess.run([built / "cc", *asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "This image has no compiler" in told.stderr
    assert not (tmp_path / "other.so").exists()
    assert os.listdir(tmp_path) == ["other.c"]
