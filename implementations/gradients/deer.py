"""DEER: forward by Newton's method over time, backward by a scan, each in some log₂ T products.

An iteration linearises all steps at the guess and solves what is then a linear recurrence by an
associative scan; near the solution the error squares. Backward is one scan more, of the Jacobians
at the states that were found, so that the gradient is exact. After i iterations the first i states
are right and stay: it ends after T iterations whatever happens, as slow as that may be.

Source: Lim, Zhu, Selfridge and Kasim (2024), Parallelizing non-linear sequential models over the
sequence length.
Time: some five iterations, each T products of S × S matrices a sequence, O(T S³); up to T of them
where states are chaotic. Memory: the states, and the Jacobians of as many steps as fit
`jacobian_bytes`, with their products about four times that; a longer sequence takes a chunk after
another.
It cannot pay where S is more than some dozens of numbers (bench_parallel, one sequence of Elman on
a core: 4 times as fast as the loop at S = 16, 0.75 at 64, 0.1 at 128), nor show dL/ds to a hook; a
product of Jacobians that overflows makes NaN of a gradient that step by step would be finite.
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

# Of the whole length, the last one a check: what elman, gru and lstm take in float32 as they begin
# (bench_parallel); one more in float64.
ITERATIONS = 4


@dataclass
class DEER(GradientMethod):
    """Newton over time; `jacobian_bytes` is the room for Jacobians."""

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
        """Return the cost of ITERATIONS iterations and the way back; more of them cost more."""
        chunks = parallel.chunks(self.jacobian_bytes, shape)
        scans = sum(
            (ITERATIONS - 1) * parallel.jacobian_flops(shape, steps)
            + parallel.adjoint_flops(shape, steps)
            for steps in chunks
        )
        return Cost(
            flops=newton.evaluation_flops(shape, ITERATIONS) + parallel.along_flops(shape) + scans,
            kept_bytes=parallel.kept_bytes(shape),
            sequential_depth=sum(ITERATIONS * scan.depth(steps) for steps in chunks),
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient along the states that Newton's method finds, chunk by chunk."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        cell = model.cell
        assert isinstance(cell, GatedCell), "supports says so"
        chunk = parallel.chunk_for(self.jacobian_bytes, cell, carry, len(window))
        states = newton.states_of(cell, window, carry, parallel.follow, chunk)
        return parallel.gradient_along(model, window, states, parallel.adjoints, chunk)
