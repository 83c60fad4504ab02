"""The loop of methods that go forward in time: a step, the error at its output, the credit for it.

What such a method carries says how the state depends on the weights; nothing is kept of the past.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from harness.contract import Batch, Gradient, Gradients, Shape, State
from harness.drive import add


@runtime_checkable  # for the tests' check of annotations
class Carrying(Protocol):
    """A carry that knows the state, whatever else it holds."""

    @property
    def state(self) -> State:
        """Return the state after the last step."""


C = TypeVar("C", bound=Carrying)
AtOutput = Callable[[Tensor, Tensor, Tensor], tuple[Gradient, Tensor]]


def kept_bytes(shape: Shape, carried: int) -> float:
    """Return what is held where an error is taken, if `carried` numbers say what depends on what.

    Those are there twice, before the first step and after the last one, and so is the state; with
    the error of the step before and the gradient so far.
    """
    error = shape.batch_size * shape.hidden_size
    numbers = 2.0 * carried + error + shape.parameters
    return numbers * shape.item_bytes + 2 * shape.state_bytes


@torch.no_grad()
def follow(
    at_output: AtOutput,
    window: Batch,
    carry: C,
    step: Callable[[Tensor, C], C],
    credit: Callable[[C, Tensor], Gradients],
) -> tuple[Gradient, C]:
    """Return Σₜ of the readout's gradient and of the cell's credit, and the carry after the window.

    `at_output` of h, target and weight gives the step's loss with the readout's gradient, and the
    error at h, (B, H); `credit` of the carry and that error gives the cell's part.
    """
    total: Gradient | None = None
    for x, target, weight in zip(window.inputs, window.targets, window.weights, strict=True):
        carry = step(x, carry)
        output, error = at_output(carry.state[0], target, weight)
        total = add(total, Gradient(output.loss, {**credit(carry, error), **output.params}))
    assert total is not None, "a window has at least one step"
    return total, carry
