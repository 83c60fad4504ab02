"""Which cores and accelerators this machine lets us use."""

from __future__ import annotations

import os
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
DEVICES = Path("/dev")
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": two CPUs' worth; "max 100000": no limit


def physical_cores() -> tuple[int, ...]:
    """Return one logical CPU of each physical core that this process may use.

    No more of them than the container's share of processor time amounts to.
    """
    firsts: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        firsts.setdefault(_siblings(cpu), cpu)
    return tuple(firsts.values())[: _quota()]


def gpus() -> tuple[str, ...]:
    """Return the accelerators that CUDA_VISIBLE_DEVICES leaves us; it must be set."""
    return tuple(name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name)


def gpus_here() -> int:
    """Return how many accelerators of this machine a Ray of its own takes, without asking CUDA."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return len(gpus())
    return sum(1 for _ in DEVICES.glob("nvidia[0-9]*"))


def _siblings(cpu: int) -> str:
    """Return which logical CPUs share `cpu`'s core, in the kernel's words."""
    try:
        return (CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text()
    except FileNotFoundError:
        return str(cpu)  # a virtual machine that hides them


def _quota() -> int | None:
    try:
        share, period = QUOTA.read_text().split()
    except FileNotFoundError:
        return None
    return None if share == "max" else max(1, int(share) // int(period))
