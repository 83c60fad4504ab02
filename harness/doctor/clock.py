"""The clock that timings are read from."""

from __future__ import annotations

import itertools
import time

from harness.doctor.finding import Finding, disturbs, fine
from harness.doctor.kernel import Kernel
from harness.trial import SpeedProtocol

READINGS = 20_000
SHARE = 1e-4  # of a sample is all that reading the clock may cost (MEASURING)
SOURCE = "sys/devices/system/clocksource/clocksource0"


def findings(kernel: Kernel) -> list[Finding]:
    """Return what there is to say of the clock."""
    readings = [time.perf_counter() for _ in range(READINGS)]
    steps = [later - earlier for earlier, later in itertools.pairwise(readings)]
    cost = (readings[-1] - readings[0]) / (READINGS - 1)
    resolution = min((step for step in steps if step > 0), default=cost)
    return [clock(kernel.text(f"{SOURCE}/current_clocksource"), resolution, cost)]


def clock(source: str | None, resolution: float, cost: float) -> Finding:
    """Return whether the clock is fine enough for the shortest sample that is taken."""
    least = SpeedProtocol().min_sample_seconds
    seen = f"{source or 'unnamed'}, steps of {resolution * 1e9:.0f} ns, {cost * 1e9:.0f} ns to read"
    if max(resolution, cost) <= SHARE * least:
        return fine("clock", seen)
    advice = f"echo tsc | sudo tee /{SOURCE}/current_clocksource, or raise min_sample_seconds"
    return disturbs("clock", f"{seen}: over {SHARE:g} of a sample of {least:g} s", advice)
