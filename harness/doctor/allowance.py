"""What this process may use: cores, processor time, memory, and how nicely."""

from __future__ import annotations

import os
from math import inf
from pathlib import PurePosixPath

from harness.doctor.finding import Finding, disturbs, fine, unknown
from harness.doctor.kernel import CPUS, Kernel

LITTLE_MEMORY = 0.1  # of the whole: an executor keeps as much free, and ends trials that want it
GIB = 2.0**20  # of /proc/meminfo's KiB
HUGE = "sys/kernel/mm/transparent_hugepage/enabled"
OLD_QUOTA = "sys/fs/cgroup/cpu/cpu.cfs_"  # of control groups before version 2


def findings(kernel: Kernel) -> list[Finding]:
    """Return what there is to say of the allowance."""
    return [
        cores(kernel, os.sched_getaffinity(0)),
        quota(kernel, len(os.sched_getaffinity(0))),
        niceness(os.nice(0)),
        memory(kernel),
        swap(kernel),
        huge_pages(kernel),
    ]


def cores(kernel: Kernel, allowed: set[int]) -> Finding:
    """Return how many cores there are for trials, and for everything else beside them."""
    shared = {
        kernel.text(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in allowed
    }
    physical = len(shared)
    seen = f"{physical} physical, {len(allowed)} logical"
    if physical > 1:
        return fine("cores", seen)
    advice = "compare ratios only, or use a machine with two cores or more"
    return disturbs("cores", f"{seen}: a timed trial shares it with all that runs here", advice)


def quota(kernel: Kernel, logical: int) -> Finding:
    """Return whether a control group pauses us once we have used our share of a period."""
    topic, share = "cpu quota", _quota(kernel)
    if share is None:
        return unknown(topic, "no control group of processors can be read")
    if share >= logical:
        return fine(topic, "none")
    seen = f"{share:g} of {logical} processors: whoever uses more is paused"
    return disturbs(
        topic, seen, f"keep threads at {max(1, int(share))} or below, or lift the quota"
    )


def niceness(value: int) -> Finding:
    """Return whether others go first."""
    if value <= 0:
        return fine("niceness", str(value))
    return disturbs("niceness", f"{value}: every other process goes first", "start without nice")


def memory(kernel: Kernel) -> Finding:
    """Return how much memory is free."""
    known = kernel.fields("proc/meminfo")
    if not {"MemAvailable", "MemTotal"} <= set(known):
        return unknown("memory", "there is no /proc/meminfo that tells")
    free, total = known["MemAvailable"], known["MemTotal"]
    seen = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free > LITTLE_MEMORY * total:
        return fine("memory", seen)
    return disturbs("memory", seen, "end what holds it: trials will run out of memory")


def swap(kernel: Kernel) -> Finding:
    """Return whether pages lie on a disk."""
    known = kernel.fields("proc/meminfo")
    if "SwapTotal" not in known:
        return unknown("swap", "there is no /proc/meminfo that tells")
    used = known["SwapTotal"] - known["SwapFree"]
    if not known["SwapTotal"]:
        return fine("swap", "none")
    seen = f"{used / GIB:.1f} of {known['SwapTotal'] / GIB:.1f} GiB used"
    if not used:
        return fine("swap", seen)
    return disturbs("swap", f"{seen}: pages come back amid a sample", "sudo swapoff -a")


def huge_pages(kernel: Kernel) -> Finding:
    """Return whether tensors get large pages by chance."""
    text = kernel.text(HUGE)
    if text is None:
        return unknown("huge pages", "this kernel has none, or does not say")
    mode = text.partition("[")[2].partition("]")[0]
    if mode != "always":
        return fine("huge pages", mode)
    seen = "always: a large tensor gets them while unbroken memory lasts, so times have two levels"
    return disturbs("huge pages", seen, f"echo madvise | sudo tee /{HUGE}")


def _quota(kernel: Kernel) -> float | None:
    """Return the processors that the tightest control group grants; infinity: no limit."""
    own = (kernel.text("proc/self/cgroup") or "").rpartition("0::")[2].splitlines()[:1]
    group = PurePosixPath("sys/fs/cgroup", *(part.strip("/") for part in own))
    folders = [group, *group.parents][: len(group.parts) - 2]  # down to sys/fs/cgroup
    limits = [text.split() for folder in folders if (text := kernel.text(f"{folder}/cpu.max"))]
    if limits:
        return min(inf if share == "max" else int(share) / int(per) for share, per in limits)
    share, period = (kernel.number(f"{OLD_QUOTA}{name}_us") for name in ("quota", "period"))
    if share is not None and period is not None:
        return inf if share < 0 else share / period
    return inf if kernel.text("sys/fs/cgroup/cgroup.controllers") else None  # the root has no file
