"""Full BPTT whose backward pass is an associative scan of the steps' Jacobians, in log₂ T products.

δₜ = qₜ + Jₜ₊₁ᵀ δₜ₊₁ is an affine recurrence, so that neighbours can be composed in pairs, and the
pairs again. The forward pass goes step by step and keeps the states; gates come again by one
product.

Source: Wang, Bai and Pekhimenko (2020), BPPSA: scaling back-propagation by parallel scan algorithm.
Time: T products of S × S matrices a sequence, O(T S³), 2 log₂ T of them one after another. Memory:
the states, and the Jacobians of as many steps as fit `jacobian_bytes`, with their products about
four times that; a longer sequence takes a chunk after another.
It cannot pay where S is more than some dozens of numbers (bench_parallel, one sequence of Elman on
a core: 2.7 times as fast as the loop at S = 16, 0.7 at 64, 0.2 at 128), nor show dL/ds to a hook; a
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
from implementations.gradients import _parallel as parallel


@dataclass
class ScanBackward(GradientMethod):
    """Forward step by step, backward by a scan; `jacobian_bytes` is the room for Jacobians."""

    hooked = False
    jacobian_bytes: int = parallel.JACOBIAN_BYTES

    def __post_init__(self) -> None:
        parallel.refuse_no_room(self.jacobian_bytes)

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: the order of the products alone is changed."""
        return "exact"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell that does not work unit by unit."""
        return parallel.refusal(model.cell)

    def cost(self, shape: Shape) -> Cost:
        """Return full BPTT's products without the messages back, the gates again, and the scans."""
        chunks = parallel.chunks(self.jacobian_bytes, shape)
        scans = sum(parallel.adjoint_flops(shape, steps) for steps in chunks)
        forward = shape.forward_flops - shape.readout_flops
        return Cost(
            flops=forward + parallel.along_flops(shape) + scans,
            kept_bytes=parallel.kept_bytes(shape),
            sequential_depth=shape.length + sum(map(scan.depth, chunks)),
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient by one loop forward and a scan back."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        cell = model.cell
        assert isinstance(cell, GatedCell), "supports says so"
        states = step_by_step(cell, window, carry)
        chunk = parallel.chunk_for(self.jacobian_bytes, cell, carry, len(window))
        return parallel.gradient_along(model, window, states, parallel.adjoints, chunk)


def step_by_step(cell: GatedCell, window: Batch, carry: State) -> State:
    """Return the states, (T + 1, B, H) a part, the one before the first step included."""
    states, state = parallel.states_with_room(carry, len(window)), carry
    for t, a in enumerate(cell.from_input(window.inputs), 1):
        state = cell.gate(a, cell.from_hidden(state[0]), state)
        for part, value in zip(states, state, strict=True):
            part[t] = value
    return states
