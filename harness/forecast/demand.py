"""What theory says that a trial demands, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass

from harness.trial import Trial

Levels = tuple[tuple[str, ...], ...]  # what a trial is alike in, the widest company first


@dataclass(frozen=True, slots=True)
class Demand:
    """The work and the memory of one training sequence, by a method's own formula."""

    flops: float
    depth: int  # steps that must follow one another
    updates: int  # that training makes on it
    plain_flops: float  # of full BPTT step by step: of the oracle, and of scoring a model
    static_bytes: float  # parameters, gradients, optimizer
    batch_bytes: float
    kept_bytes: float | None  # for the backward pass and in it; None: the method has no formula
    oracle_bytes: float  # that the exact gradient keeps, in float64
    scored_bytes: float  # of one evaluation's outputs in a training trial


def series(trial: Trial) -> tuple[str, ...]:
    """Return what has a speed of its own: a method and its clips, on a cell, on a device."""
    one = trial.implementation
    method = " + ".join(str(choice) for choice in (one.gradient, *one.clips))
    return method, str(trial.cell), trial.device, trial.dtype, str(trial.threads)


def levels(trial: Trial) -> Levels:
    """Return the companies whose errors a trial is likely to share; the last is its own point."""
    method, cell, *machine = series(trial)
    passed = (trial.measurement, *machine)
    sizes = (trial.sequence_length, trial.hidden_size, trial.batch_size)
    plain = (str(trial.task), trial.update, trial.optimizer, *map(str, sizes))
    return passed, (*passed, cell), (*passed, cell, method), (*passed, cell, method, *plain)
