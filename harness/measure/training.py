"""Whether a method learns: losses, scores and what the clips did, over so many sequences.

Values: sequence and loss; evaluated_at, score and seconds (of training alone, on a machine that
other trials share); update, norm_before and norm_after (of the gradient at every update, before and
after the clips of parameters; a clip of hidden gradients has acted before); updates,
clipped_fraction, nonfinite_updates, first_nonfinite_update, spike_max and spike_999 (the largest
norm_before, and the one that a thousandth exceeds, over the median; null where that is 0),
lyapunov (of the trained model, on the validation part; null if not finite), score_name,
score_better, trivial_score, trivial_formula, solved_score, solved_at, final_score, parameters.
Curves are thinned to at most 128 points.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from harness.contract import Gradient, Gradients
from harness.measure.clipping import Counted, clipped_fraction
from harness.measure.lyapunov import lyapunov
from harness.model import detach
from harness.rig import Rig
from harness.trial import TrainingProtocol

CURVE_POINTS = 128  # more cannot be seen in a plot
NEARLY_ALL = 0.999  # of the updates stay below what is told beside the largest (MEASURING)


class Diverged(Exception):
    """Training reached numbers that are not finite; `values` is what was measured until then."""

    def __init__(self, reason: str, values: dict[str, Any]) -> None:
        super().__init__(reason)
        self.values = values


@dataclass(slots=True)
class _Norms:
    """The gradient's norm before and after the clips, one pair an update, still on its device."""

    before: list[Tensor] = field(default_factory=list)
    after: list[Tensor] = field(default_factory=list)

    def observe(self, gradient: Gradient, clipped: Gradients) -> None:
        """Note one update."""
        self.before.append(get_total_norm(gradient.params.values()))
        self.after.append(get_total_norm(clipped.values()))


@dataclass(slots=True)
class _Scores:
    """The validation score over training."""

    evaluated_at: list[int] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def measure(rig: Rig) -> dict[str, Any]:
    """Return how training went.

    Raises:
        Diverged: the loss or the last score is not finite.
    """
    protocol = TrainingProtocol(**rig.trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    norms, scores, losses = _Norms(), _Scores(), list[Tensor]()
    counted = tuple(map(Counted, rig.clips))
    rig = replace(rig, clips=counted)
    drive = rig.drive(rig.optimizer(rig.trial.learning_rate), norms.observe)
    generator = rig.generator("method")
    every = max(1, protocol.sequences // protocol.evaluations)
    seconds, carry = 0.0, None
    for index in range(protocol.sequences):
        if index % every == 0:
            _evaluate(rig, protocol, scores, index, seconds)
        start = time.perf_counter()
        if carry is None or not rig.task.stateful:
            carry = drive.begin(rig.trial.batch_size, generator)
        loss, carry = drive.sequence(rig.batch(index), carry)
        losses.append(loss)
        finite = bool(loss.isfinite())  # waits for the device
        seconds += time.perf_counter() - start
        if not finite:
            break
    else:
        _evaluate(rig, protocol, scores, protocol.sequences, seconds)
    values = _values(rig, counted, norms, scores, torch.stack(losses).double().cpu())
    if not finite:
        said = f"the loss was not finite at sequence {len(losses)} of {protocol.sequences}"
        raise Diverged(said, values)
    if not math.isfinite(scores.score[-1]):
        raise Diverged(f"the score was not finite after sequence {protocol.sequences}", values)
    return values


@torch.no_grad()
def _evaluate(
    rig: Rig, protocol: TrainingProtocol, scores: _Scores, index: int, seconds: float
) -> None:
    """Score the model on the validation part, the same batches every time."""
    state, found = rig.model.initial_state(protocol.evaluation_sequences), []
    for number in range(protocol.evaluation_batches):
        batch = rig.batch(number, "valid", protocol.evaluation_sequences)
        if not rig.task.stateful:
            state = rig.model.initial_state(protocol.evaluation_sequences)
        hidden, state = rig.model.roll(batch.inputs, state)
        found.append(rig.task.score(rig.model.readout(hidden), batch))
        state = detach(state)
    scores.evaluated_at.append(index)
    scores.score.append(sum(found) / len(found))
    scores.seconds.append(seconds)


def _values(
    rig: Rig, counted: tuple[Counted, ...], norms: _Norms, scores: _Scores, losses: Tensor
) -> dict[str, Any]:
    length = rig.trial.sequence_length
    before, after = (torch.stack(some).double().cpu() for some in (norms.before, norms.after))
    finite = before.isfinite()
    trivial, solved = rig.task.trivial(length), rig.task.solved(length)
    sign = 1 if rig.task.score_better == "lower" else -1
    reached = [
        at
        for at, score in zip(scores.evaluated_at, scores.score, strict=True)
        if sign * score <= sign * solved
    ]
    sequences, updates = _thin(len(losses)), _thin(len(before))
    return {
        "sequence": [int(i) for i in sequences],
        "loss": losses[sequences].tolist(),
        "evaluated_at": scores.evaluated_at,
        "score": scores.score,
        "seconds": scores.seconds,
        "update": [int(i) for i in updates],
        "norm_before": before[updates].tolist(),
        "norm_after": after[updates].tolist(),
        "updates": len(before),
        "clipped_fraction": clipped_fraction(counted),
        "nonfinite_updates": int((~finite).sum()),
        "first_nonfinite_update": None if finite.all() else int(finite.long().argmin()),
        **spikes(before[finite]),
        "lyapunov": _lyapunov(rig),
        "score_name": rig.task.score_name,
        "score_better": rig.task.score_better,
        "trivial_score": trivial.score,
        "trivial_formula": trivial.formula,
        "solved_score": solved,
        "solved_at": reached[0] if reached else None,
        "final_score": scores.score[-1],
        "parameters": sum(param.numel() for param in rig.model.parameters()),
    }


def spikes(norms: Tensor) -> dict[str, float | None]:
    """Return how far the largest gradients stand out of the usual one."""
    usual = float(norms.median()) if len(norms) else 0.0
    if not usual:
        return {"spike_max": None, "spike_999": None}
    return {
        "spike_max": float(norms.max()) / usual,
        "spike_999": float(norms.quantile(NEARLY_ALL)) / usual,
    }


def _lyapunov(rig: Rig) -> dict[str, Any] | None:
    double = rig.without_clips().in_float64()
    return lyapunov(double.model, double.batch(0, "valid"), rig.generator("tangent"))


def _thin(count: int) -> Tensor:
    """Return at most CURVE_POINTS indices below `count`, evenly spread, with both ends."""
    return torch.linspace(0, count - 1, min(count, CURVE_POINTS)).round().long()
