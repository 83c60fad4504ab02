"""What a sweep will take: the memory that theory predicts, the time that the protocols ask for."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.cli.plan import Plan
from harness.data import DataError
from harness.trial import Trial

PROCESS_SECONDS = 0.1  # to fork a process, build the model and write the record, as was seen


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one implementation will take."""

    label: str
    trials: int
    seconds: float  # at least: the sequences themselves may take longer
    kept_bytes: float | None  # for the backward pass of its largest trial; None: no formula


def estimates(plan: Plan) -> Iterator[Estimate]:
    """Yield an estimate for every implementation; builds its models, but runs nothing."""
    for implementation in plan.sweep.implementations:
        label = implementation.label
        trials = [
            each.trial
            for each in plan.planned
            if each.skip_reason is None and each.trial.implementation.label == label
        ]
        found = [_kept_bytes(plan, trial) for trial in _largest(trials)]
        kept = max((one for one in found if one is not None), default=None)
        yield Estimate(label, len(trials), math.fsum(map(_seconds, trials)), kept)


def _seconds(trial: Trial) -> float:
    protocol = trial.protocol
    if trial.measurement == "speed":
        return PROCESS_SECONDS + protocol["warmup_seconds"] + protocol["min_seconds"]
    return PROCESS_SECONDS


def _largest(trials: Sequence[Trial]) -> Collection[Trial]:
    """Return the trial with the most numbers in its states, for every cell and task."""
    found: dict[tuple[str, str], Trial] = {}
    for trial in sorted(trials, key=_states):
        found[str(trial.cell), str(trial.task)] = trial
    return found.values()


def _states(trial: Trial) -> int:
    return trial.sequence_length * trial.batch_size * trial.hidden_size


def _kept_bytes(plan: Plan, trial: Trial) -> float | None:
    """Return what theory says; None without a formula, or where a data pack is not here yet."""
    from harness import rig  # imports torch

    try:
        cost = rig.build(replace(trial, device="cpu"), plan.registry).theory()
    except (rig.Skipped, DataError):
        return None
    return None if cost is None else cost.kept_bytes
