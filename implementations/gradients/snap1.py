"""SnAp-1: real-time recurrent learning that keeps a weight's influence on its own unit alone.

The influence matrix keeps the pattern of Iₜ, so Jₜ acts through its diagonal: O(P) instead of
O(S P). On a cell whose units do not see one another nothing is dropped, and it is exact.

Source: Menick, Elsen, Evci, Osindero, Simonyan and Graves (2021), Practical real time recurrent
learning with a sparse approximation.
Time: O(P) a step and sequence. Memory: O(P) a sequence, flat in T.
It cannot credit a weight for what it does through another unit.
"""

from dataclasses import dataclass

import torch

from harness import trace
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
from harness.drive import add
from harness.model import Model

Carried = tuple[State, trace.Trace]


@dataclass
class SnAp1(GradientMethod):
    """Sparse RTRL of order one."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where units do not see one another, or there is but one step."""
        alone = isinstance(cell, GatedCell) and cell.hidden_map is None
        return "exact" if alone or length == 1 else "biased"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell whose units cannot be told apart."""
        if isinstance(model.cell, GatedCell):
            return None
        return f"{type(model.cell).__name__} does not work unit by unit, so it has no trace a unit"

    def cost(self, shape: Shape) -> Cost:
        """Return the forward pass and the readout's, and the trace, old and new."""
        entries = shape.input_size + shape.hidden_size + 2
        numbers = shape.parts * shape.gates * shape.hidden_size * entries * shape.batch_size
        return Cost(
            flops=shape.forward_flops + 2 * shape.readout_flops,
            kept_bytes=2.0 * numbers * shape.item_bytes,
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, which nothing has influenced."""
        assert isinstance(model.cell, GatedCell), "supports says so"
        state = model.initial_state(batch_size)
        return state, trace.zero(model.cell, state)

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Σₜ qₜ Eₜ."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        assert isinstance(model.cell, GatedCell), "supports says so"
        cell, (state, traced) = model.cell, carry
        total: Gradient | None = None
        for x, target, weight in zip(window.inputs, window.targets, window.weights, strict=True):
            a, u = cell.from_input(x), cell.from_hidden(state[0])
            local = cell.local(a, u, state)
            traced = trace.advance(traced, local, trace.within_units(cell, local), x, state[0])
            state = cell.gate(a, u, state)
            output, error = model.at_output(state[0], target, weight)
            credited = trace.credit(cell, traced, error)
            total = add(total, Gradient(output.loss, {**credited, **output.params}))
        assert total is not None, "a window has at least one step"
        return total, (state, traced)
