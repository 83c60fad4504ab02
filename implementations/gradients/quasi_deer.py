"""Quasi-DEER: forward by Newton's method over time with D for J, backward by an exact scan.

D is what of a Jacobian stays within a unit: its diagonal, or a p × p block where a unit holds p
numbers. The iterations are cheap and have the same fixed point, but come nearer by a factor each
instead of squaring the error. After i of them the first i states are right and stay. The adjoint is
exact, unlike that of the authors' code, which is `quasi_deer_diagonal`.

Source: Gonzalez, Warrington, Smith and Linderman (2024), Towards scalable and stable
parallelization of nonlinear RNNs.
Time: tens of iterations, O(T S) each beside the product W_h h, up to T of them; backward T products
of S × S matrices, O(T S³). Memory: the states, and the Jacobians of as many steps as fit
`jacobian_bytes`, with their products about four times that; backward, a longer sequence takes a
chunk after another.
It cannot pay where S is more than some dozens of numbers (bench_parallel, one sequence of Elman on
a core: 2.2 times as fast as the loop at S = 16, 0.2 at 128), nor show dL/ds to a hook; a product of
Jacobians that overflows makes NaN of a gradient that step by step would be finite.
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
class QuasiDEER(GradientMethod):
    """Newton over time, unit by unit; `jacobian_bytes` is the room for the adjoint's Jacobians."""

    hooked = False
    jacobian_bytes: int = parallel.JACOBIAN_BYTES

    def __post_init__(self) -> None:
        parallel.refuse_no_room(self.jacobian_bytes)

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: iterations end where f moves no state by more than rounding."""
        return "exact"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell that does not work unit by unit."""
        return parallel.refusal(model.cell)

    def cost(self, shape: Shape) -> Cost:
        """Return the cost of UNIT_ITERATIONS iterations and the way back; more cost more."""
        chunks = parallel.chunks(self.jacobian_bytes, shape)
        iterations = newton.UNIT_ITERATIONS
        return Cost(
            flops=newton.evaluation_flops(shape, iterations)
            + parallel.along_flops(shape)
            + sum(parallel.adjoint_flops(shape, steps) for steps in chunks),
            kept_bytes=parallel.kept_bytes(shape),
            sequential_depth=(iterations - 1) * scan.depth(shape.length)
            + sum(map(scan.depth, chunks)),
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the exact gradient along the states that the iterations find."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        cell = model.cell
        assert isinstance(cell, GatedCell), "supports says so"
        states = newton.states_of(cell, window, carry, parallel.follow_within, len(window))
        chunk = parallel.chunk_for(self.jacobian_bytes, cell, carry, len(window))
        return parallel.gradient_along(model, window, states, parallel.adjoints, chunk)
