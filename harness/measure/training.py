"""Whether a method learns: losses, scores and what the clips did, over so many sequences.

Values: sequence and loss; evaluated_at, score and seconds; update, norm_before and norm_after (of
the gradient, at every update); updates, clipped_fraction, nonfinite_updates,
first_nonfinite_update, score_name, score_better, trivial_score, trivial_formula, solved_score,
solved_at, final_score, parameters. Curves are thinned to at most 128 points.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from harness.contract import Gradient, Gradients
from harness.model import detach
from harness.rig import Rig
from harness.trial import TrainingProtocol

CURVE_POINTS = 128  # more cannot be seen in a plot


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
        Diverged: the loss or the parameters are no longer finite.
    """
    protocol = TrainingProtocol(**rig.trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    norms, scores, losses = _Norms(), _Scores(), list[Tensor]()
    drive = rig.drive(rig.optimizer(rig.trial.learning_rate), norms.observe)
    generator = rig.generator("method")
    every = max(1, protocol.sequences // protocol.evaluations)
    start, carry = time.perf_counter(), None
    for index in range(protocol.sequences):
        if index % every == 0:
            _evaluate(rig, protocol, scores, index, time.perf_counter() - start)
        if carry is None or not rig.task.stateful:
            carry = drive.begin(rig.trial.batch_size, generator)
        loss, carry = drive.sequence(rig.batch(index), carry)
        losses.append(loss)
        if not bool(loss.isfinite()):
            break
    else:
        _evaluate(rig, protocol, scores, protocol.sequences, time.perf_counter() - start)
    values = _values(rig, norms, scores, torch.stack(losses).double().cpu())
    if len(losses) < protocol.sequences or scores.score[-1] != scores.score[-1]:
        raise Diverged(
            f"the loss was not finite at sequence {len(losses)} of {protocol.sequences}", values
        )
    return values


@torch.no_grad()
def _evaluate(
    rig: Rig, protocol: TrainingProtocol, scores: _Scores, index: int, seconds: float
) -> None:
    """Score the model on the validation part, the same batches every time."""
    state, found = rig.model.initial_state(rig.trial.batch_size), []
    for number in range(protocol.evaluation_batches):
        batch = rig.batch(number, "valid")
        if not rig.task.stateful:
            state = rig.model.initial_state(rig.trial.batch_size)
        hidden, state = rig.model.roll(batch.inputs, state)
        found.append(rig.task.score(rig.model.readout(hidden), batch))
        state = detach(state)
    scores.evaluated_at.append(index)
    scores.score.append(sum(found) / len(found))
    scores.seconds.append(seconds)


def _values(rig: Rig, norms: _Norms, scores: _Scores, losses: Tensor) -> dict[str, Any]:
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
        "clipped_fraction": _clipped_fraction(rig, before, after),
        "nonfinite_updates": int((~finite).sum()),
        "first_nonfinite_update": None if finite.all() else int(finite.long().argmin()),
        "score_name": rig.task.score_name,
        "score_better": rig.task.score_better,
        "trivial_score": trivial.score,
        "trivial_formula": trivial.formula,
        "solved_score": solved,
        "solved_at": reached[0] if reached else None,
        "final_score": scores.score[-1],
        "parameters": sum(param.numel() for param in rig.model.parameters()),
    }


def _clipped_fraction(rig: Rig, before: Tensor, after: Tensor) -> float | None:
    """Return the share of updates that a clip of parameters changed; null: there is none.

    A relative change under 1e-5 is the clip's own rounding (torch adds 1e-6 to the norm).
    """
    if not any(not clip.uses_hidden for clip in rig.clips):
        return None
    return float(((before - after).abs() > 1e-5 * before).double().mean())


def _thin(count: int) -> Tensor:
    """Return at most CURVE_POINTS indices below `count`, evenly spread, with both ends."""
    return torch.linspace(0, count - 1, min(count, CURVE_POINTS)).round().long()
