"""Builds a C++ file into a library of torch operators, once a machine, and loads it.

One call of the compiler, no build tool: there is one file, and Python's headers are not needed.
"""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import platformdirs
import torch

TORCH = Path(torch.__file__).parent
# As torch builds its own kernels; a library is kept for each, since machines may share a home.
VECTORS = {
    "AVX2": ["-mavx2", "-mfma", "-mf16c"],
    "AVX512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma", "-mf16c"],
}
# After the source: some linkers take from a library only what is already wanted.
LIBRARIES = [f"-L{TORCH / 'lib'}", "-lc10", "-ltorch_cpu"]


def compiler() -> list[str] | None:
    """Return the command of the C++ compiler, $CXX before g++; None where there is none."""
    command = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    return command if shutil.which(command[0]) else None


@cache
def load(source: Path) -> None:
    """Make the operators of `source` known to torch, by a build where none is kept.

    Raises:
        RuntimeError: the compiler refuses.
    """
    command = compiler()
    assert command is not None, "supports says so"
    command += _flags(torch.backends.cpu.get_cpu_capability())
    told = [*command, *LIBRARIES, torch.__version__, source.read_text()]
    key = hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]
    folder = platformdirs.user_cache_path("bptt-bench") / "kernels"
    library = folder / f"{source.stem}-{key}.so"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{library.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several fresh processes one builds, the others wait
        if not library.exists():
            _build(command, source, library)
    torch.ops.load_library(library)


def _flags(capability: str) -> list[str]:
    vectors = VECTORS.get(capability, [])
    known = [f"-DCPU_CAPABILITY_{capability}"] if vectors else []
    includes = [TORCH / "include", TORCH / "include/torch/csrc/api/include"]
    return [
        *("-std=c++20", "-O3", "-fPIC", "-shared", "-fopenmp"),
        *vectors,
        f"-DCPU_CAPABILITY={capability if vectors else 'DEFAULT'}",
        *known,
        *(f"-isystem{path}" for path in includes),
    ]


def _build(command: list[str], source: Path, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        call = [*command, str(source), "-o", str(made), *LIBRARIES]
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(
                f"{source.name} cannot be built: {shlex.join(call)} ended with {done.returncode}."
                f" Set CXX to a compiler that knows C++20, or choose `time_batched`."
                f"\n{done.stderr[-2000:]}"
            )
        made.replace(library)  # whole or not at all
