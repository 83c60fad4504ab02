"""What else wants the machine now: load, pressure, busy processes, and who cannot be seen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from harness.doctor.finding import Finding, disturbs, fine, unknown
from harness.doctor.kernel import Kernel

BUSY_LOAD = 0.5  # processes that wanted a core, on average over a minute
PRESSURE_PERCENT = 5.0  # of the last ten seconds that some process had to wait
BUSY_SHARE = 0.03  # of a core: less than the 1 % that a timing may move, over three cores
MOST_NAMED = 4
LATER = "end it, or measure when it is done"
CONTAINERS = (".dockerenv", "run/.containerenv")


HIDDEN = "processes that are gone or hidden"  # what the visible ones do not account for


@dataclass(frozen=True, slots=True)
class Usage:
    """The processor time used since the machine started, in seconds."""

    by_process: Mapping[str, tuple[str, float]]  # "pid began" -> name, seconds; not our own
    own: float  # of the one that forks the trials, and of all trials so far
    all: float  # of everything, as the kernel counts it


def findings(kernel: Kernel) -> list[Finding]:
    """Return what there is to say of the company now."""
    waits = (pressure(kernel, of) for of in ("cpu", "memory", "io"))
    return [load(kernel), *waits, unseen(kernel)]


def load(kernel: Kernel) -> Finding:
    """Return how many processes wanted a core over the last minute."""
    text = kernel.text("proc/loadavg")
    if text is None:
        return unknown("load", "there is no /proc/loadavg")
    average = float(text.split()[0])
    seen = f"{average:.2f} processes wanted a core over the last minute"
    if average < BUSY_LOAD:
        return fine("load", seen)
    return disturbs("load", seen, "wait until the machine has been idle for a minute")


def pressure(kernel: Kernel, of: str) -> Finding:
    """Return how much of the last ten seconds something had to wait for `of`."""
    topic = f"{of} pressure"
    text = kernel.text(f"proc/pressure/{of}")
    if text is None:
        return unknown(topic, "this kernel keeps no account of it (CONFIG_PSI)")
    some = text.splitlines()[0]  # "some avg10=1.45 avg60=...": at least one process waited
    share = float(dict(word.split("=") for word in some.split()[1:])["avg10"])
    seen = f"something waited for it {share:.1f} % of the last ten seconds"
    if share < PRESSURE_PERCENT:
        return fine(topic, seen)
    return disturbs(topic, seen, "see what is busy: top, or iotop for io")


def processes(before: Usage, after: Usage, seconds: float) -> Finding:
    """Return who was busy between two looks, by name and share of a core."""
    shares: dict[str, float] = {}
    for key, (name, used) in after.by_process.items():
        earlier = before.by_process[key][1] if key in before.by_process else 0.0  # it began since
        shares[name] = shares.get(name, 0.0) + (used - earlier) / seconds
    known = sum(shares.values()) + (after.own - before.own) / seconds
    shares[HIDDEN] = (after.all - before.all) / seconds - known
    worst = sorted(
        (n for n, share in shares.items() if share >= BUSY_SHARE), key=shares.__getitem__
    )
    if not worst:
        return fine("busy processes", f"none above {100 * BUSY_SHARE:.0f} % of a core")
    shown = worst[::-1][:MOST_NAMED]
    named = ", ".join(f"{name} {100 * shares[name]:.0f} %" for name in shown)
    more = f", and {len(worst) - MOST_NAMED} more" if len(worst) > MOST_NAMED else ""
    return disturbs("busy processes", f"{named} of a core{more}", LATER)


def unseen(kernel: Kernel) -> Finding:
    """Return who may be there without our seeing them."""
    places = []
    if any((kernel.root / path).exists() for path in CONTAINERS):
        places.append("a container hides the host's other processes")
    if kernel.hypervisor:
        places.append("a virtual machine hides its neighbours")
    if places:
        return unknown("neighbours", "; ".join(places), "the measured noise below is what counts")
    return fine("neighbours", "neither a container nor a virtual machine hides any")


def usage() -> Usage:
    """Return the processor time used so far."""
    parents = psutil.Process().parents()
    ours = {os.getpid(), *(parent.pid for parent in parents)}
    found = {}
    for process in psutil.process_iter(["name", "cpu_times", "create_time"]):
        times = process.info["cpu_times"]
        if process.pid not in ours and times is not None:
            key = f"{process.pid} {process.info['create_time']}"
            found[key] = (process.info["name"], times.user + times.system)
    forking, machine = parents[0].cpu_times(), psutil.cpu_times()
    own = forking.user + forking.system + forking.children_user + forking.children_system
    return Usage(found, own, sum(machine) - machine.idle - machine.iowait - machine.steal)
