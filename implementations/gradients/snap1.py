"""SnAp-1: real-time recurrent learning that keeps a weight's influence on its own unit alone.

The influence matrix keeps the pattern of Iₜ, so Jₜ acts through its diagonal: O(P) instead of
O(S P). On a cell whose units do not see one another nothing is dropped, and it is exact.

Source: Menick, Elsen, Evci, Osindero, Simonyan and Graves (2021), Practical real time recurrent
learning with a sparse approximation.
Time: O(P) a step and sequence. Memory: O(P) a sequence, flat in T.
It cannot credit a weight for what it does through another unit.
"""

from dataclasses import dataclass
from functools import partial

import torch

from harness import online, trace
from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    Gradient,
    GradientMethod,
    Hook,
    Shape,
)
from harness.model import Model


@dataclass
class SnAp1(GradientMethod):
    """Sparse RTRL of order one."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where units do not see one another, or there is but one step."""
        return "exact" if trace.alone(cell) or length == 1 else "biased"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell whose units cannot be told apart."""
        return trace.refusal(model.cell)

    def cost(self, shape: Shape) -> Cost:
        """Return the trace's cost: its update is no matrix product, its use is one."""
        return Cost(
            flops=shape.forward_flops + 2 * shape.readout_flops + trace.credit_flops(shape),
            kept_bytes=online.kept_bytes(shape, trace.numbers(shape)),
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> trace.Carried:
        """Return the zero state, which nothing has influenced."""
        return trace.begin(model.cell, model.initial_state(batch_size))

    def gradient(
        self, model: Model, window: Batch, carry: trace.Carried, hook: Hook | None = None
    ) -> tuple[Gradient, trace.Carried]:
        """Return Σₜ qₜ Eₜ."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        step = partial(trace.step, model.cell, trace.within_units)
        return online.follow(
            model.at_output, window, carry, step, partial(trace.credit, model.cell)
        )
