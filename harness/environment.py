"""What machine, versions, threads, load and commit this is: what a number depends on."""

from __future__ import annotations

import functools
import os
import platform
import re
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "COMMIT"  # beside code that was brought to a node: what `commit` said at home
GPUS, DRIVER = Path("/proc/driver/nvidia/gpus"), Path("/proc/driver/nvidia/version")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
CPU_INFO = Path("/proc/cpuinfo")
VARIABLES = re.compile(
    r"(OMP|MKL|OPENBLAS|BLIS|KMP|GOMP|NUMEXPR|PYTORCH|MALLOC)_.*|LD_PRELOAD"
    r"|CUDA_(VISIBLE_DEVICES|LAUNCH_BLOCKING|MODULE_LOADING|DEVICE_(ORDER|MAX_CONNECTIONS))"
    r"|CUBLAS(LT)?_WORKSPACE_.*|(NVIDIA_TF32|TORCH_ALLOW_TF32_CUBLAS)_OVERRIDE|TORCH_CUDNN_.*"
)
GIT_SECONDS = 5.0  # a checkout that takes longer to compare is on a disk that is not worth it


def describe() -> dict[str, Any]:
    """Return what a record says of where it was made; torch is asked only if it is imported."""
    torch = sys.modules.get("torch")
    return {
        **_fixed(),
        "blas": _blas(),
        "threads": torch.get_num_threads() if torch is not None else None,
        "flushes_denormals": _flushes_denormals(),
        **_precision(),
        "affinity": sorted(os.sched_getaffinity(0)),
        "niceness": os.nice(0),
        "governor": _text(GOVERNOR),
        "load": load(),
        "variables": {
            name: value for name, value in sorted(os.environ.items()) if VARIABLES.fullmatch(name)
        },
    }


def load() -> float:
    """Return how many processes wanted a core, on average over the last minute."""
    return os.getloadavg()[0]


def devices() -> tuple[str, ...]:
    """Return the kinds of device that this machine has and that the installed torch can use."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return ("cpu", "cuda") if _gpu_names() and _cuda() and not hidden else ("cpu",)


@functools.cache
def _fixed() -> dict[str, Any]:
    """Return what stays as it is for as long as this process lives."""
    described, _, dirty = commit().partition("-")
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpu_model": cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": ", ".join(_gpu_names()) or None,
        "gpu_driver": _gpu_driver(),
        "python": platform.python_version(),
        "torch": _version("torch"),
        "ray": _version("ray"),
        "numpy": _version("numpy"),
        "cuda": _cuda(),
        "commit": described or None,
        "dirty": bool(dirty) if described else None,
    }


def _flushes_denormals() -> bool:
    """Return whether this thread makes 0 of a number below the normal range; no torch is asked.

    The processor's setting, of every size of number: a fork server, which runs no operation of
    torch, may ask. It says nothing of a GPU.
    """
    return sys.float_info.min / 2 == 0


def _precision() -> dict[str, Any]:
    """Return what torch may round to on a GPU, and how cuDNN chooses; null without it.

    They are asked for only where CUDA is in use: a fork server must not open its driver.
    Precisions are torch's words: "tf32", or "ieee" and "none" where nothing is rounded further.
    """
    torch = sys.modules.get("torch")
    if torch is None or _unopened(torch):
        return dict.fromkeys(("fp32_precision", "cudnn"))
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    return {
        "fp32_precision": {
            "matmul": cuda.matmul.fp32_precision,
            "rnn": cudnn.rnn.fp32_precision,
            "conv": cudnn.conv.fp32_precision,
        },
        "cudnn": {
            "version": cudnn.version(),
            "deterministic": cudnn.deterministic,
            "benchmark": cudnn.benchmark,
        },
    }


def commit() -> str:
    """Return the commit of the checkout, with "-dirty" where tracked files differ; "": unknown."""
    if SHIPPED.exists():
        return _text(SHIPPED) or ""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    calm = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        said = subprocess.run(
            command, cwd=ROOT, env=calm, capture_output=True, text=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def cpu_model() -> str:
    """Return what the processor calls itself."""
    found = re.search(r"^model name\s*:\s*(.+)$", _text(CPU_INFO) or "", re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    """Return the models of the NVIDIA devices, as the driver lists them."""
    texts = [_text(path) or "" for path in sorted(GPUS.glob("*/information"))]
    models = [re.search(r"^Model:\s*(.+)$", text, re.MULTILINE) for text in texts]
    return [model[1] for model in models if model]


def _gpu_driver() -> str | None:
    """Return the version of NVIDIA's kernel module, open or not."""
    found = re.search(r"Kernel Module.*?\s(\d[\d.]+)\s", _text(DRIVER) or "")
    return found[1] if found else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@functools.cache
def _cuda() -> str | None:
    """Return the CUDA version that torch was built for; None for a build without."""
    try:
        built = Path(str(distribution("torch").locate_file("torch/version.py")))
    except PackageNotFoundError:
        return None
    found = re.search(r"^cuda\b[^=]*=\s*'([^']+)'", _text(built) or "", re.MULTILINE)
    return found[1] if found else None


def _blas() -> str | None:
    """Return the library that torch multiplies matrices with; None while torch is not imported.

    Of MKL torch says so by itself. Asked for all that it was built with, it opens CUDA's driver as
    well, which then has a thread in this process and can no longer be used after a fork.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if torch.backends.mkl.is_available():
        return "mkl"
    if _unopened(torch):
        return None
    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return found[1] if found else None


def _unopened(torch: ModuleType) -> bool:
    """Return whether torch was built for CUDA, and this process has not begun to use it."""
    return torch.version.cuda is not None and not torch.cuda.is_initialized()


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
