"""e-prop: eligibility traces through each unit's own memory, times the error at its own output.

The trace runs through the state that a unit keeps by itself (an LSTM's cell, a leak) and never
through a recurrent weight; the learning signal is dLₜ/dhₜ (symmetric feedback). On a leaky network
it is RFLO, random feedback apart.

Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein and Maass (2020), A solution to the
learning dilemma for recurrent networks of spiking neurons; RFLO: Murray (2019), Local online
learning in recurrent networks with random feedback.
Time: O(P) a step and sequence. Memory: O(P) a sequence, flat in T.
It cannot credit anything that travels through a recurrent weight.
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
class EProp(GradientMethod):
    """Local traces with symmetric feedback."""

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
            traced = trace.advance(traced, local, local.by_state, x, state[0])
            state = cell.gate(a, u, state)
            output, error = model.at_output(state[0], target, weight)
            credited = trace.credit(cell, traced, error)
            total = add(total, Gradient(output.loss, {**credited, **output.params}))
        assert total is not None, "a window has at least one step"
        return total, (state, traced)
