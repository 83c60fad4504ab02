"""Where the first number that is not finite was made: in which update, at which step.

A loss is one number a window, and tells of no step. So the sequence in which it happened is run
forward once more, step by step, with the parameters that it began with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.contract import Batch
from harness.model import Model


@dataclass(frozen=True, slots=True)
class Origin:
    """The first number that is not finite."""

    update: int
    step: int | None  # of its sequence; None: see `place`
    place: str  # in words

    def __str__(self) -> str:
        return f"first in update {self.update}: {self.place}"

    def to_values(self) -> dict[str, Any]:
        """Return it as a record holds it."""
        return {
            "first_nonfinite_update": self.update,
            "first_nonfinite_step": self.step,
            "first_nonfinite_place": self.place,
        }


NOWHERE: dict[str, None] = {  # of a training in which every number was finite
    "first_nonfinite_update": None,
    "first_nonfinite_step": None,
    "first_nonfinite_place": None,
}


def first_bad(*series: Sequence[Tensor]) -> int | None:
    """Return the first place at which any of the series, of scalars, is not finite."""
    finite = torch.stack([torch.stack(list(one)).isfinite() for one in series]).all(0)
    return None if finite.all() else int(finite.int().argmin())


def origin(
    model: Model, batch: Batch, update: int, window: tuple[int, int], loss: Tensor
) -> Origin:
    """Return where in the sequence `batch` the first number was not finite.

    `model` has the parameters that the sequence began with. The update is that of the steps
    `window`, whose loss was `loss`.
    """
    step, (first, last) = broken_step(model, batch), window
    if step is not None and first <= step < last:
        return Origin(update, step, f"step {step} of the forward pass")
    if loss.isfinite():
        return Origin(update, None, "none in the forward pass: the gradient")
    moved = "by a state or parameters that the sequence did not begin with"
    return Origin(update, None, f"steps {first} to {last - 1}, {moved}")


@torch.no_grad()
def broken_step(model: Model, batch: Batch) -> int | None:
    """Return the first step, from the zero state, whose state or loss is not finite."""
    state = model.initial_state(batch.inputs.shape[1])
    steps = zip(batch.inputs, batch.targets, batch.weights, strict=True)
    for t, (x, target, weight) in enumerate(steps):
        state = model.advance(x, state)
        if not all(
            bool(n.isfinite().all()) for n in (*state, model.loss(state[0], target, weight))
        ):
            return t
    return None
