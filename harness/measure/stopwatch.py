"""One sample of time: synchronise, clock, run, synchronise, clock; on a device also its own clock.

The two clocks see different things: the device's begins when it takes up the work and ends when it
is done, this machine's holds the time until then as well. Where they agree nothing waited.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

EMPTY_SAMPLES = 25  # whose median is what a sample costs that holds nothing


class Event(Protocol):
    """A moment on a device, as `torch.Event` keeps it."""

    def record(self) -> None:
        """Mark the moment at which the device is done with what it has been given so far."""

    def elapsed_time(self, other: Any, /) -> float:  # Any: each device's event takes its own kind
        """Return the milliseconds from this moment to a later one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds per run."""

    seconds: float
    device_seconds: float | None  # between a pair of events on the device; None: it has no clock


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Times runs on one device."""

    synchronize: Callable[[], None]
    event: Callable[[], Event] | None = None

    def sample(self, run: Callable[[], object], count: int) -> Sample:
        """Return the seconds per run of `count` runs, one after another."""
        pair = (self.event(), self.event()) if self.event is not None else None
        self.synchronize()
        start = time.perf_counter()
        if pair is not None:
            pair[0].record()
        for _ in range(count):
            run()
        if pair is not None:
            pair[1].record()
        self.synchronize()
        seconds = (time.perf_counter() - start) / count
        device = pair[0].elapsed_time(pair[1]) / 1e3 / count if pair is not None else None
        return Sample(seconds, device)

    def cost_seconds(self) -> float:
        """Return what taking a sample costs by itself."""
        return statistics.median(self.sample(lambda: None, 1).seconds for _ in range(EMPTY_SAMPLES))


def stopwatch_of(device: torch.device, synchronize: Callable[[], None]) -> Stopwatch:
    """Return the stopwatch for a device; a processor has no clock but this machine's."""
    if device.type == "cpu":
        return Stopwatch(synchronize)
    return Stopwatch(synchronize, lambda: torch.Event(device, enable_timing=True))
