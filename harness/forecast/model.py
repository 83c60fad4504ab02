"""The estimate of a trial: rates times theory, corrected by what probes and trials have shown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.forecast import passes
from harness.forecast.correction import SURE, Corrections
from harness.forecast.demand import Demand, Levels, levels, series
from harness.forecast.expected import Expected
from harness.forecast.rates import Rates, Timing
from harness.trial import Record, Trial

BLIND = 3.0  # times: how far rates of another machine may be off
AT_BEST = 0.1  # of a trial's time: what a machine moves from one hour to the next
PEAK_SPREAD = 0.1  # of a peak: what theory leaves out is allocated and freed on the way
PROCESS_SECONDS = (
    0.2  # to fork, build, look around and write the record, on the reference's machine
)
WEAK = 0.05  # of a probe's weight
PLAIN = "full BPTT step by step"  # as a method's name: it has the speed of its cell
FLOAT64_PEAK = 2.0  # the oracle keeps the graph and, going back, as much again for the lags


class Forecast:
    """Estimates for trials whose demands are known, by their ids."""

    def __init__(self, demands: Mapping[str, Demand], probes: Sequence[Record] = ()) -> None:
        done = [record for record in probes if record.status == "done"]
        self._demands = demands
        self._timings = [
            Timing(series(record.trial), demands[record.trial.id], _sequence_seconds(record))
            for record in done
            if record.trial.measurement == "speed"
        ]
        self._rates = Rates.of(self._timings)
        self._passes = {name: self._line(of) for name, of in _by_measurement(done).items()}
        prior = self._left_out() if self._timings else math.log(BLIND) / SURE
        self._seconds = Corrections(max(prior, math.log1p(AT_BEST) / SURE))
        self._peaks = Corrections(PEAK_SPREAD)
        self.probes = len(done)
        for record in done:
            self.learn(record)

    @property
    def spread(self) -> float:
        """Return the relative error that nine of ten estimates of time stay below."""
        return self._seconds.spread

    def knows(self, trial: Trial) -> bool:
        """Return whether the trial's demand is known."""
        return trial.id in self._demands

    def expected(self, trial: Trial) -> Expected:
        """Return what the trial will take; one that runs longer than its limit is ended there."""
        peak, most = self._peak(trial), trial.limits.seconds
        return Expected(
            min(most, self.uncorrected(trial) * self.factor(levels(trial))),
            None if peak is None else peak * self._peaks.factor(_peak_levels(trial)),
        )

    def uncorrected(self, trial: Trial) -> float:
        """Return the seconds by rates and theory alone."""
        overhead, factor = self._passes.get(trial.measurement, (PROCESS_SECONDS, 1.0))
        return overhead + factor * self._inside(trial)

    def factor(self, along: Levels) -> float:
        """Return what such trials have taken over what was expected of them."""
        return self._seconds.factor(along)

    def learn(self, record: Record) -> None:
        """Take in what a trial took; one that did not end well says nothing."""
        trial = record.trial
        if record.status != "done" or trial.id not in self._demands:
            return
        truth = record.ended - record.started
        self._seconds.learn(levels(trial), self.uncorrected(trial), truth)
        peak, seen = self._peak(trial), record.values.get("peak_bytes")
        if peak is not None and seen is not None:
            self._peaks.learn(_peak_levels(trial), peak, float(seen))

    def _inside(self, trial: Trial) -> float:
        """Return the seconds inside a trial's process, as its protocol has it."""
        demand, mine = self._demands[trial.id], series(trial)
        plain = replace(demand, flops=demand.plain_flops, depth=2 * trial.sequence_length)
        own = self._rates.seconds(mine, demand)
        step_by_step = self._rates.seconds((PLAIN, *mine[1:]), plain)
        return passes.seconds(trial, own, step_by_step, demand.flops, demand.updates)

    def _line(self, probes: Sequence[Record]) -> tuple[float, float]:
        """Return overhead and factor, neither negative: truth = overhead + factor · inside."""
        truths = np.array([record.ended - record.started for record in probes])
        inside = np.array([self._inside(record.trial) for record in probes])
        if probes[0].trial.measurement == "speed":  # the rates are its own, the rest is waiting
            return max(0.0, float(np.median(truths - inside))), 1.0
        from scipy import optimize  # 0.4 s, which a sweep without probes need not pay

        least = truths.min()
        rows = np.stack([1 / truths, inside / truths], axis=1)  # relative residuals
        weak = [[WEAK / least, 0.0], [0.0, WEAK]]  # what few points leave open
        targets = [*np.ones(len(probes)), WEAK * PROCESS_SECONDS / least, WEAK]
        found, _ = optimize.nnls(np.vstack([rows, weak]), np.array(targets))
        return float(found[0]), float(found[1])

    def _peak(self, trial: Trial) -> float | None:
        demand = self._demands[trial.id]
        if demand.kept_bytes is None:
            return None
        plain = demand.static_bytes + demand.batch_bytes + demand.kept_bytes
        if trial.measurement == "gradients":
            return plain + FLOAT64_PEAK * demand.oracle_bytes
        return max(plain, demand.static_bytes + demand.scored_bytes)

    def _left_out(self) -> float:
        """Return the spread of errors where each timing is foretold from the others."""
        errors = []
        for place, one in enumerate(self._timings):
            others = [*self._timings[:place], *self._timings[place + 1 :]]
            foretold = Rates.of(others).seconds(one.series, one.demand)
            errors.append(math.log(one.seconds / foretold))
        if len(errors) < 2:
            return math.log(BLIND) / SURE
        return math.sqrt(statistics.fmean(error**2 for error in errors))


def _by_measurement(records: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.trial.measurement, []).append(record)
    return found


def _peak_levels(trial: Trial) -> Levels:
    """Return what a peak is alike in: all but `gradients` run what `memory` traces."""
    if trial.measurement == "gradients":
        return levels(trial)
    return levels(replace(trial, measurement="memory"))


def _sequence_seconds(record: Record) -> float:
    samples = record.values["sample_seconds"]
    return statistics.median(float(sample) for sample in samples if sample is not None)
