"""What a sweep will take: time and memory of each implementation, and what may not fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import psutil

from harness.cli import words
from harness.cli.plan import Plan
from harness.cli.probes import Probes
from harness.executors.child import RESERVE
from harness.executors.cores import gpus_here, physical_cores
from harness.forecast.expected import Expected
from harness.forecast.machine import Machine
from harness.forecast.model import Forecast
from harness.store import Expectations
from harness.trial import Implementation, Trial

# A training sequence tells methods apart; scoring many sequences and the oracle cost all the same.
COMPARABLE = ("memory", "speed", "training", "gradients")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one implementation will take."""

    label: str
    trials: int
    seconds: float  # of its trials, one after another
    peak_bytes: float | None  # of its largest training sequence; None: no formula
    largest: Trial | None
    too_large: int  # trials that will probably not fit; of an accelerator's memory nothing is known
    too_long: int  # trials that will probably be ended by their time limit


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the whole sweep will take."""

    expected: dict[str, Expected]  # by trial
    estimates: tuple[Estimate, ...]
    seconds: float  # from the first trial to the last
    spread: float  # relative; nine of ten such estimates are better
    basis: str
    oracle_bytes: float  # the most that a comparison with the exact gradient needs
    limit_bytes: float | None  # that a trial may take; None: another machine's
    left_out: int  # trials of which nothing is known


def forecast(plan: Plan, probes: Probes) -> Forecast:
    """Return the cost model of the plan's trials; builds their models, but runs nothing."""
    from harness.cli.theory import demands  # imports torch: no mistake in a sweep waits for it

    timed = [record.trial for record in probes.records]
    trials = [each.trial for each in plan.planned if each.skip_reason is None]
    return Forecast(demands([*trials, *timed], plan.registry), probes.records)


def outlook(plan: Plan, probes: Probes) -> Outlook:
    """Return what the plan's trials will take."""
    model = forecast(plan, probes)
    trials = [each.trial for each in plan.planned if each.skip_reason is None]
    known = [trial for trial in trials if model.knows(trial)]
    expected = {trial.id: model.expected(trial) for trial in known}
    limit = limit_bytes(plan)
    exact = [expected[trial.id].peak_bytes for trial in known if trial.measurement == "gradients"]
    return Outlook(
        expected=expected,
        estimates=tuple(_estimates(plan.sweep.implementations, known, expected, limit)),
        seconds=_wall_seconds(known, expected, machine(plan)),
        spread=model.spread,
        basis=basis(probes),
        oracle_bytes=max((peak for peak in exact if peak is not None), default=0.0),
        limit_bytes=limit,
        left_out=len(trials) - len(known),
    )


def expectations(plan: Plan, model: Forecast, probes: Probes) -> Expectations:
    """Return the estimates that are kept with the plan."""
    trials = [each.trial for each in plan.planned if each.skip_reason is None]
    known = {trial.id: model.expected(trial) for trial in trials if model.knows(trial)}
    return Expectations(basis(probes), known)


def basis(probes: Probes) -> str:
    """Return what estimates rest on, in words."""
    if not probes.records:
        return "no probe timings, but theory and the rates of another machine"
    done = sum(record.status == "done" for record in probes.records)
    part = f"{done} of {probes.wanted}" if done < probes.wanted else str(done)
    return f"{part} probe timings of {datetime.fromtimestamp(probes.at):%Y-%m-%d %H:%M}"


def limit_bytes(plan: Plan) -> float | None:
    """Return how much memory a trial may take: what the sweep says, or what is free here."""
    if plan.sweep.limits.memory_bytes is not None:
        return float(plan.sweep.limits.memory_bytes)
    if plan.settings.address is not None:
        return None
    memory = psutil.virtual_memory()
    return float(memory.available - memory.total // RESERVE)


def machine(plan: Plan) -> Machine:
    """Return what trials share here; of a cluster nothing is known, so one runs at a time."""
    alone = plan.settings.address is not None or not plan.parallel
    return Machine() if alone else Machine(len(physical_cores()), gpus_here())


def _estimates(
    implementations: Iterable[Implementation],
    known: list[Trial],
    expected: dict[str, Expected],
    limit: float | None,
) -> Iterator[Estimate]:
    by_label: dict[str, list[Trial]] = {}
    for trial in known:
        by_label.setdefault(trial.implementation.label, []).append(trial)
    for implementation in implementations:
        trials = by_label.get(implementation.label, [])
        peaks = {
            trial.id: peak
            for trial in trials
            if (peak := expected[trial.id].peak_bytes) is not None
            and trial.measurement in COMPARABLE  # others fill the memory on purpose
        }
        largest = max(
            (trial for trial in trials if trial.id in peaks),
            key=lambda trial: (-COMPARABLE.index(trial.measurement), peaks[trial.id]),
            default=None,
        )
        yield Estimate(
            label=implementation.label,
            trials=len(trials),
            seconds=math.fsum(expected[trial.id].seconds for trial in trials),
            peak_bytes=None if largest is None else peaks[largest.id],
            largest=largest,
            too_large=sum(
                limit is not None and trial.device == "cpu" and peaks.get(trial.id, 0.0) > limit
                for trial in trials
            ),
            too_long=sum(expected[trial.id].seconds >= trial.limits.seconds for trial in trials),
        )


def _wall_seconds(known: list[Trial], expected: dict[str, Expected], shared: Machine) -> float:
    return math.fsum(expected[trial.id].seconds / shared.at_a_time(trial) for trial in known)


def lines(found: Outlook) -> Iterator[str]:
    """Yield the estimate as a table, with what it rests on."""
    width = max(len("implementation"), *(len(one.label) for one in found.estimates))
    yield f"  {'implementation':{width}}  trials  est. time  est. peak memory (largest trial)"
    for one in found.estimates:
        lasts = words.duration(one.seconds)
        yield f"  {one.label:{width}}  {one.trials:6,}  {lasts:>9}  {_memory(one, found)}"
    for one in found.estimates:
        if one.too_long:
            trials = words.plural(one.too_long, "trial")
            yield f"  {one.label}: {trials} will probably reach their time limit"
    if found.oracle_bytes:
        needed = words.bytes_text(found.oracle_bytes)
        yield f"  the exact gradient, which methods are compared with, needs up to {needed}"
    if found.left_out:
        left_out = words.plural(found.left_out, "trial")
        yield f"  {left_out} are not in it: no plugin runs them, or their data are not here yet"
    yield f"estimate: {words.duration(found.seconds)}{_doubt(found)}; basis: {found.basis}"


def _memory(one: Estimate, found: Outlook) -> str:
    if one.peak_bytes is None or one.largest is None:
        return "no formula"
    trial = one.largest
    where = f"{trial.cell}, {trial.task}, T={trial.sequence_length}, H={trial.hidden_size}"
    where += "" if trial.device == "cpu" else f", {trial.device}"
    text = f"{words.bytes_text(one.peak_bytes):>8}  {where}"
    if not one.too_large or found.limit_bytes is None:
        return text
    limit = words.bytes_text(found.limit_bytes)
    return f"{text}  above the {limit} there are: {words.plural(one.too_large, 'trial')} likely oom"


def _doubt(found: Outlook) -> str:
    if found.spread < 1:
        return f" ± {100 * found.spread:.0f} %"
    return f", to within a factor of {1 + found.spread:.1f}"
