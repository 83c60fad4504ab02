"""What the kernel counts while trials run: other processes' time, throttling, pauses, swapping."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.doctor import company
from harness.doctor.finding import Finding, disturbs, fine, unknown
from harness.doctor.kernel import CPUS, Kernel

STOLEN = 8  # place of the stolen ticks in the line "cpu ..." of /proc/stat
SHARE_STOLEN = 0.01  # of a core: what a timing may move
UNCOUNTED = "this machine does not count it"


@dataclass(frozen=True, slots=True)
class Counters:
    """One reading; None: this machine does not count it."""

    at: float  # seconds since 1970
    throttles: int | None
    pauses: int | None
    swapped_pages: int | None
    stolen_seconds: float | None  # of all processors together
    usage: company.Usage  # of other processes


def read(kernel: Kernel) -> Counters:
    """Return the counters now."""
    throttles = [
        int(text)
        for text in kernel.every(f"{CPUS}/cpu[0-9]*/thermal_throttle/core_throttle_count")
        if text.isdigit()
    ]
    group = kernel.fields("sys/fs/cgroup/cpu/cpu.stat") | kernel.fields("sys/fs/cgroup/cpu.stat")
    pages = kernel.fields("proc/vmstat")
    stat = (kernel.text("proc/stat") or "").partition("\n")[0].split()
    return Counters(
        at=time.time(),
        throttles=sum(throttles) if throttles else None,
        pauses=group.get("nr_throttled"),
        swapped_pages=pages["pswpin"] + pages["pswpout"] if "pswpin" in pages else None,
        stolen_seconds=int(stat[STOLEN]) / os.sysconf("SC_CLK_TCK") if stat[STOLEN:] else None,
        usage=company.usage(),
    )


def from_json(data: Mapping[str, Any]) -> Counters:
    """Return the reading whose plain data this is."""
    used = data["usage"]
    by_process = {key: (name, seconds) for key, (name, seconds) in used["by_process"].items()}
    return Counters(**{**data, "usage": company.Usage(by_process, used["own"], used["all"])})


def read_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counters of this machine, after a while; what the executors call."""
    time.sleep(data["wait_seconds"])
    return asdict(read(Kernel()))


def findings(before: Counters, after: Counters) -> list[Finding]:
    """Return what happened between two readings, during which trials ran."""
    seconds = after.at - before.at
    return [
        company.processes(before.usage, after.usage, seconds),
        _grown("throttling", "the clock was held back", before.throttles, after.throttles),
        _grown("quota pauses", "paused for its quota", before.pauses, after.pauses),
        _grown("swapping", "pages were swapped", before.swapped_pages, after.swapped_pages),
        _stolen(before.stolen_seconds, after.stolen_seconds, seconds),
    ]


HELP = {
    "throttling": "cool it, or lower its clock: what is throttled depends on the weather",
    "quota pauses": "lower threads, or lift the quota",
    "swapping": "end what holds the memory, or sudo swapoff -a",
}


def _grown(topic: str, what: str, first: int | None, last: int | None) -> Finding:
    if first is None or last is None:
        return unknown(topic, UNCOUNTED)
    seen = f"{what} {last - first:,} times while trials ran"
    return disturbs(topic, seen, HELP[topic]) if last > first else fine(topic, seen)


def _stolen(first: float | None, last: float | None, seconds: float) -> Finding:
    if first is None or last is None:
        return unknown("stolen time", UNCOUNTED)
    share = (last - first) / seconds
    seen = f"the hypervisor gave {100 * share:.1f} % of a core to others while trials ran"
    if share < SHARE_STOLEN:
        return fine("stolen time", seen)
    return disturbs("stolen time", seen, "use a machine of your own, or more blocks")
