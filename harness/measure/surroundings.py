"""What else went on in the machine while samples were taken, read before and after them."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.doctor import company, counters, nvml
from harness.doctor.counters import Counters
from harness.doctor.finding import DISTURBS, Finding
from harness.doctor.kernel import CPUS, Kernel

SHORTEST_WINDOW = 1.0  # seconds: the kernel counts in 10 ms, and a share of 3 % is looked for
MOST_NAMED = 8  # processes whose time a record keeps


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One reading."""

    counters: Counters
    standing: tuple[Finding, ...]  # load and pressures
    load: float | None
    cpu_pressure: str | None  # as the kernel words it
    preemptions: int  # of this process
    governor: str | None  # of the cores that this process may run on
    gpu: nvml.Reading | None = None  # of the one that it runs on; None: it does not, or none tells

    @classmethod
    def now(cls, kernel: Kernel, gpu: nvml.Gpu | None = None) -> Surroundings:
        """Return how things are; the GPU first, which cools down while the rest is read."""
        of_gpu = gpu.read() if gpu is not None else None
        read = counters.read(kernel)
        # The time of this process is our own, beside that of the one that forked it.
        usage = replace(read.usage, own=read.usage.own + time.process_time())
        load = kernel.text("proc/loadavg")
        return cls(
            counters=replace(read, usage=usage),
            standing=tuple(company.pressure(kernel, of) for of in ("cpu", "memory", "io")),
            load=float(load.split()[0]) if load else None,
            cpu_pressure=kernel.text("proc/pressure/cpu"),
            preemptions=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
            governor=_governor(kernel, os.sched_getaffinity(0)),
            gpu=of_gpu,
        )


def values(before: Surroundings, after: Surroundings) -> dict[str, Any]:
    """Return what a record keeps of two readings."""
    one, other = before.counters, after.counters
    return {
        "governor_before": before.governor,
        "governor_after": after.governor,
        "load_before": before.load,
        "load_after": after.load,
        "cpu_pressure_before": before.cpu_pressure,
        "cpu_pressure_after": after.cpu_pressure,
        "window_seconds": other.at - one.at,
        "preemptions": after.preemptions - before.preemptions,
        "busy_seconds": _busiest(one.usage, other.usage),
        "machine_busy_seconds": other.usage.all - one.usage.all,
        "own_busy_seconds": other.usage.own - one.usage.own,
        "throttles": _grown(one.throttles, other.throttles),
        "quota_pauses": _grown(one.pauses, other.pauses),
        "swapped_pages": _grown(one.swapped_pages, other.swapped_pages),
        "stolen_seconds": _grown(one.stolen_seconds, other.stolen_seconds),
        "gpu_before": before.gpu and asdict(before.gpu),
        "gpu_after": after.gpu and asdict(after.gpu),
    }


def flags(before: Surroundings, after: Surroundings, runs: int) -> list[str]:
    """Return in words what of it disturbed so many runs."""
    earlier = {one.topic: one for one in before.standing if one.state == DISTURBS}
    later = {one.topic: one for one in after.standing if one.state == DISTURBS}
    found = [*(earlier | later).values(), *counters.findings(before.counters, after.counters)]
    if after.counters.at - before.counters.at < SHORTEST_WINDOW:
        found = [one for one in found if one.topic not in ("busy processes", "stolen time")]
    said = [f"{one.topic}: {one.seen}" for one in found if one.state == DISTURBS]
    preemptions = after.preemptions - before.preemptions
    if preemptions > runs:
        said.append(f"preempted {preemptions} times in {runs} runs")
    if before.governor != after.governor:
        said.append(f"the governor went from {before.governor} to {after.governor}")
    if before.gpu is not None and after.gpu is not None:
        said += nvml.flags(before.gpu, after.gpu, after.counters.at - before.counters.at)
    return said


def _governor(kernel: Kernel, cores: Iterable[int]) -> str | None:
    """Return who sets the clock of these cores; several names where they are not alike."""
    found = {kernel.text(f"{CPUS}/cpu{core}/cpufreq/scaling_governor") for core in cores}
    return ", ".join(sorted(name for name in found if name)) or None


def _busiest(before: company.Usage, after: company.Usage) -> Mapping[str, float]:
    """Return the processor time that other processes took, by name, of those that took most."""
    seconds: dict[str, float] = {}
    for key, (name, used) in after.by_process.items():
        earlier = before.by_process.get(key, (name, 0.0))[1]
        seconds[name] = seconds.get(name, 0.0) + used - earlier
    most = sorted(seconds, key=seconds.__getitem__, reverse=True)[:MOST_NAMED]
    return {name: round(seconds[name], 3) for name in most if seconds[name] > 0}


def _grown(first: int | float | None, last: int | float | None) -> int | float | None:
    return None if first is None or last is None else last - first
