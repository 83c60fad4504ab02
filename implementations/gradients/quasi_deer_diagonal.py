"""Quasi-DEER whose backward pass, too, puts D for J: parallel and cheap, but another gradient.

D is what of a Jacobian stays within a unit. The states are right, the adjoint leaves out whatever
one unit sends to another: the gradient is SnAp-1's, had backwards.

Source: the code of Gonzalez, Warrington, Smith and Linderman (2024), Towards scalable and stable
parallelization of nonlinear RNNs, which scans backwards with the same diagonals.
Time: tens of iterations, O(T S) each beside the product W_h h, up to T of them; backward O(T S).
Memory: the states, and a dozen tensors as large for a while.
It cannot credit a weight for what it does through another unit, nor show dL/ds to a hook.
"""

from dataclasses import dataclass

import torch

from harness import scan
from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    GatedCell,
    Gradient,
    GradientMethod,
    Hook,
    Shape,
    State,
)
from harness.model import Model
from implementations.gradients import _newton as newton
from implementations.gradients import _parallel as parallel


@dataclass
class QuasiDEERDiagonal(GradientMethod):
    """Newton over time and adjoints, both unit by unit."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where units do not see one another, or there is but one step."""
        alone = isinstance(cell, GatedCell) and cell.hidden_map is None
        return "exact" if alone or length == 1 else "biased"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell that does not work unit by unit."""
        return parallel.refusal(model.cell)

    def cost(self, shape: Shape) -> Cost:
        """Return the cost of UNIT_ITERATIONS iterations and the way back; more cost more."""
        iterations = newton.UNIT_ITERATIONS
        return Cost(
            flops=newton.evaluation_flops(shape, iterations) + parallel.along_flops(shape),
            kept_bytes=parallel.kept_bytes(shape),
            sequential_depth=iterations * scan.depth(shape.length),  # one back, the last none
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient within units along the states that the iterations find."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        cell = model.cell
        assert isinstance(cell, GatedCell), "supports says so"
        states = newton.states_of(cell, window, carry, parallel.follow_within, len(window))
        return parallel.gradient_along(model, window, states, parallel.adjoints_within, len(window))
