"""How fast a machine is: seconds a sequential step of each series, and seconds a FLOP."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.forecast.demand import Demand

Series = tuple[str, ...]  # method, cell, device, dtype, threads
STEP_SECONDS = 100e-6  # the reference run's median, on two cores of a cloud machine, at H = 32
FLOP_SECONDS = 1 / 20e9  # one core's rate in float32 there

WEAK = 0.02  # of a timing's weight


@dataclass(frozen=True, slots=True)
class Timing:
    """A sequence that was timed."""

    series: Series
    demand: Demand
    seconds: float  # a sequence


@dataclass(frozen=True, slots=True)
class Rates:
    """seconds = begin + step · depth + flop · FLOPs, with a step for each series."""

    begin: float = 0.0  # a sequence, whatever its length
    flop: float = FLOP_SECONDS
    steps: Mapping[Series, float] = field(default_factory=dict)

    @classmethod
    def of(cls, timings: Sequence[Timing]) -> Rates:
        """Return the rates, none negative, that miss the timings least, relatively."""
        if not timings:
            return cls()
        from scipy import optimize  # 0.4 s, which a sweep without probes need not pay

        names = sorted({one.series for one in timings})
        rows = np.zeros((len(timings), 2 + len(names)))
        for row, one in zip(rows, timings, strict=True):
            row[0], row[1] = 1.0, one.demand.flops
            row[2 + names.index(one.series)] = one.demand.depth
            row /= one.seconds  # so that the residual is relative
        weak = np.zeros((2, rows.shape[1]))  # what the timings leave open: no overhead, our FLOPs
        weak[0, 0] = WEAK / min(one.seconds for one in timings)
        weak[1, 1] = WEAK / FLOP_SECONDS
        whole = np.vstack([rows, weak])
        scale = whole.max(axis=0)  # columns of like size
        found, _ = optimize.nnls(whole / scale, np.r_[np.ones(len(rows)), 0.0, WEAK])
        rates = found / scale
        steps = {name: float(rate) for name, rate in zip(names, rates[2:], strict=True)}
        return cls(float(rates[0]), float(rates[1]), steps)

    def seconds(self, series: Series, demand: Demand) -> float:
        """Return how long a sequence takes."""
        return self.begin + self._step(series) * demand.depth + self.flop * demand.flops

    def _step(self, series: Series) -> float:
        """Return the seconds of a step; of one that was not timed, as of those most like it."""
        if series in self.steps:
            return self.steps[series]
        for alike in (slice(1, None), slice(1, 2), slice(2, None)):  # cell and machine, either
            near = [rate for other, rate in self.steps.items() if other[alike] == series[alike]]
            if near:
                return statistics.median(near)
        return STEP_SECONDS
