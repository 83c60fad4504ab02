"""Whether a method learns: losses, scores and what the clips did, until a budget is used up.

Values: stop_reason; sequence and loss; evaluated_at, score and seconds (of training alone, on a
machine that other trials share); update, norm_before and norm_after (of the gradient at every
update, before and after the clips of parameters; a clip of hidden gradients has acted before);
sequences, updates, flops_per_sequence (by the method's formula; null: it has none),
clipped_fraction, clipped_norm_ratio (what a cut left of the norm: quartiles over what was clipped,
or a sample of it), nonfinite_updates, first_nonfinite_update, first_nonfinite_step and
first_nonfinite_place (of its sequence: see divergence.py), spike_max and spike_999 (the largest
norm_before, and the one that a thousandth exceeds, over the median; null where that is 0), lyapunov
(of the trained model, on the validation part; null if not finite), score_name, score_better,
trivial_score, trivial_formula, solved_score, solved_at, final_score, parameters. Curves are thinned
to at most 128 points.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from harness.contract import Gradient, Gradients
from harness.measure.budget import Budget
from harness.measure.clipping import Counted, clipped_fraction, clipped_norm_ratio
from harness.measure.divergence import NOWHERE, Origin, first_bad, origin
from harness.measure.lyapunov import lyapunov
from harness.model import detach
from harness.rig import Rig, Skipped
from harness.trial import TrainingProtocol

CURVE_POINTS = 128  # more cannot be seen in a plot
NEARLY_ALL = 0.999  # of the updates stay below what is told beside the largest (MEASURING)


class Diverged(Exception):
    """Training reached numbers that are not finite; `values` is what was measured until then."""

    def __init__(self, reason: str, values: dict[str, Any]) -> None:
        super().__init__(reason)
        self.values = values


@dataclass(slots=True)
class _Seen:
    """What is noted while a model trains; tensors stay on their device."""

    losses: list[Tensor] = field(default_factory=list)  # one a sequence
    seconds: float = 0.0
    window_losses: list[Tensor] = field(default_factory=list)  # from here on one an update
    before: list[Tensor] = field(default_factory=list)  # the gradient's norm before the clips
    after: list[Tensor] = field(default_factory=list)
    origin: Origin | None = None  # of the first number that was not finite

    def observe(self, gradient: Gradient, clipped: Gradients) -> None:
        """Note one update."""
        self.window_losses.append(gradient.loss)
        self.before.append(get_total_norm(gradient.params.values()))
        self.after.append(get_total_norm(clipped.values()))

    def spent(self, flops: float | None) -> dict[str, float | int]:
        """Return what training took so far; `flops` are those of a sequence."""
        sequences = len(self.losses)
        return {
            "sequences": sequences,
            "updates": len(self.before),
            "seconds": self.seconds,
            "flops": sequences * (flops or 0.0),
        }


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
        Skipped: the budget is one of FLOPs, and the method has no formula for them.
    """
    protocol = TrainingProtocol(**rig.trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    flops = _flops(rig, protocol)
    counted = tuple(map(Counted, rig.clips))
    rig = replace(rig, clips=counted)
    seen, scores = _Seen(), _Scores()
    ended = _train(rig, protocol, flops, seen, scores)
    values = {
        "stop_reason": ended or "not finite",
        "flops_per_sequence": flops,
        **_values(rig, counted, seen, scores),
    }
    first = f"; {seen.origin}" if seen.origin else ""
    if ended is None:
        said = f"the loss was not finite at sequence {len(seen.losses)}"
        raise Diverged(said + first, values)
    if not math.isfinite(scores.score[-1]):
        said = f"the score was not finite after sequence {len(seen.losses)}"
        raise Diverged(said + first, values)
    return values


def _flops(rig: Rig, protocol: TrainingProtocol) -> float | None:
    """Return the FLOPs of a sequence by the method's own formula; None: it has none."""
    theory = rig.theory()
    if theory is None and protocol.budget_flops is not None:
        name = rig.trial.implementation.gradient.use
        raise Skipped(f"a budget of FLOPs needs a method that says its own, and {name} does not")
    return theory.flops if theory else None


def _train(
    rig: Rig, protocol: TrainingProtocol, flops: float | None, seen: _Seen, scores: _Scores
) -> str | None:
    """Train until a budget is used up, and return which; None: a loss was not finite before."""
    drive = rig.drive(rig.optimizer(rig.trial.learning_rate), seen.observe)
    generator, budget = rig.generator("method"), Budget.of(protocol)
    carry, evaluated = None, -1
    while True:
        spent = seen.spent(flops)
        due, ended = budget.due(spent, protocol.evaluations), budget.reached(spent)
        if due > evaluated:
            _evaluate(rig, protocol, scores, len(seen.losses), seen.seconds)
            evaluated = due
        if ended:
            return ended
        began = {name: value.clone() for name, value in rig.model.state_dict().items()}
        updates = len(seen.before)
        start = time.perf_counter()
        if carry is None or not rig.task.stateful:
            carry = drive.begin(rig.trial.batch_size, generator)
        loss, carry = drive.sequence(rig.batch(len(seen.losses)), carry)
        finite = bool(loss.isfinite())  # waits for the device
        seen.seconds += time.perf_counter() - start
        seen.origin = seen.origin or _origin(rig, seen, updates, began)
        seen.losses.append(loss)
        if not finite:
            return None


def _origin(rig: Rig, seen: _Seen, since: int, began: Mapping[str, Tensor]) -> Origin | None:
    """Return where the latest sequence, with the updates from `since` on, was not finite."""
    bad = first_bad(seen.before[since:], seen.window_losses[since:])
    if bad is None:
        return None
    model, batch = copy.deepcopy(rig.model), rig.batch(len(seen.losses))
    model.load_state_dict(began)
    steps = len(batch) if rig.trial.update == "sequence" else rig.method.stride or len(batch)
    window = (bad * steps, min((bad + 1) * steps, len(batch)))
    return origin(model, batch, since + bad, window, seen.window_losses[since + bad])


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


def _values(rig: Rig, counted: tuple[Counted, ...], seen: _Seen, scores: _Scores) -> dict[str, Any]:
    length = rig.trial.sequence_length
    losses, parts, before, after = (
        torch.stack(some).double().cpu()
        for some in (seen.losses, seen.window_losses, seen.before, seen.after)
    )
    finite = before.isfinite() & parts.isfinite()
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
        "sequences": len(losses),
        "updates": len(before),
        "clipped_fraction": clipped_fraction(counted),
        "clipped_norm_ratio": clipped_norm_ratio(counted),
        "nonfinite_updates": int((~finite).sum()),
        **(seen.origin.to_values() if seen.origin else NOWHERE),
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
