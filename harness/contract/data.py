"""The data that passes between plugins and the harness: batches, states, gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

State = tuple[Tensor, ...]  # what a cell carries from step to step: (B, H) each, output first
Carry = Any  # what goes from window to window: each method's own business
# (t, dL/ds_t) -> what travels on, of the same shapes; t < 0 is a step of the sequence before
Hook = Callable[[int, State], State]
Gradients = dict[str, Tensor]  # parameter name -> dL/d(parameter), shaped as the parameter


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive steps of B sequences: a whole sequence, or one window of it.

    `start` is the index, within the sequence, of the first step held here.
    """

    inputs: Float[Tensor, "T B I"]
    targets: Shaped[Tensor, "T B ..."]
    weights: Float[Tensor, "T B"]
    start: int = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, first: int, last: int) -> Batch:
        """Return steps `first` to `last` (excluded), counted from the first step held here."""
        cut = slice(first, last)
        return Batch(self.inputs[cut], self.targets[cut], self.weights[cut], self.start + first)

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """Return the batch on `device` with its real numbers in `dtype`; indices stay integers.

        Weights keep at least float32: in bfloat16 they would no longer sum to 1.
        """
        targets = self.targets.to(device)
        if targets.is_floating_point():
            targets = targets.to(dtype)
        return Batch(
            self.inputs.to(device, dtype),
            targets,
            self.weights.to(device, torch.promote_types(dtype, torch.float32)),
            self.start,
        )


@dataclass(frozen=True, slots=True)
class Gradient:
    """What one window gave: its share of the loss, and that share's gradient."""

    loss: Tensor  # scalar
    params: Gradients
