"""The software that does the arithmetic: versions, threads, vector units, denormal numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import torch

from harness import environment
from harness.doctor.finding import Finding, disturbs, fine, unknown

SLOW = {  # variables that make every trial slower, and what they do
    "CUDA_LAUNCH_BLOCKING": "waits for every kernel",
    "PYTHONDEVMODE": "checks every allocation",
    "PYTHONMALLOC": "replaces Python's allocator",
    "MKL_VERBOSE": "prints every product",
    "ONEDNN_VERBOSE": "prints every primitive",
    "TORCH_SHOW_DISPATCH_TRACE": "prints every operator",
}
OFF = ("", "0", "default", "none", "pymalloc")
NUMBERS = 1 << 14  # 64 KiB in float32: in the nearest caches, so that only arithmetic is timed
ROUNDS = 50
DENORMAL = 1e-41  # in float32, whose smallest normal number is 1.2e-38
TIMES_SLOWER = 2.0  # from which on vanishing gradients show in a timing


def findings() -> list[Finding]:
    """Return what there is to say of the software in this process."""
    known = environment.describe()
    return [
        versions(known),
        blas(known, torch.backends.cpu.get_cpu_capability()),
        variables(os.environ),
        denormals(_seconds(1.0), _seconds(DENORMAL)),
    ]


def versions(known: Mapping[str, object]) -> Finding:
    """Return the versions that numbers depend on."""
    parts = [f"{name} {known[name] or 'none'}" for name in ("python", "torch", "ray", "numpy")]
    return fine("versions", ", ".join(parts))


def blas(known: Mapping[str, object], capability: str) -> Finding:
    """Return what multiplies matrices, on how many threads and with which vector instructions."""
    if known["blas"] is None:
        return unknown("BLAS", "torch does not say which library it uses")
    threads = known["threads"]
    seen = f"{known['blas']} with {capability}, {threads} thread{'' if threads == 1 else 's'}"
    if capability != "DEFAULT":
        return fine("BLAS", f"{seen} unless a trial asks for more")
    return disturbs("BLAS", f"{seen}: no vector instructions", "use a torch built for this machine")


def variables(given: Mapping[str, str]) -> Finding:
    """Return whether the environment asks for something slow."""
    slow = [name for name in SLOW if given.get(name, "").lower() not in OFF]
    if not slow:
        return fine("variables", "none that slows trials down")
    seen = ", ".join(f"{name} {SLOW[name]}" for name in slow)
    return disturbs("variables", seen, f"unset {' '.join(slow)}")


def denormals(normal: float, denormal: float) -> Finding:
    """Return whether numbers next to 0, as in a vanishing gradient, take longer to multiply."""
    seen = f"products of numbers below 1e-38 take {denormal / normal:.1f} times as long"
    if denormal < TIMES_SLOWER * normal:
        return fine("denormals", seen)
    advice = "where gradients vanish, compare times only beside the gradient's norm"
    return disturbs("denormals", seen, advice)


def _seconds(size: float) -> float:
    """Return the least time of a product of numbers of that size."""
    numbers = torch.full((NUMBERS,), size)
    out = torch.empty_like(numbers)
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        torch.mul(numbers, 0.5, out=out)
        taken.append(time.perf_counter() - start)
    return min(taken)
