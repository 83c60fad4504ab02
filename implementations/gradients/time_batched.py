"""Full BPTT by hand: the loop holds what must be sequential, everything else is batched over time.

Forward, W_x X is one product for all steps. Backward, the units' derivatives are had for many steps
at once, the loop sends dL/ds through them and through W_h, and each weight's gradient is one
product at the end: dW_h = dUᵀ H, dW_x = dAᵀ X.

Source: Werbos (1990), Backpropagation through time: what it does and how to do it; batching over
time as in cuDNN: Appleyard, Kocisky and Blunsom (2016), Optimizing performance of recurrent neural
networks on GPUs.
Time: as full BPTT, without autograd's graph. Memory: O(T), the maps' outputs and the states.
It cannot take a cell whose units mix outside its two maps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness import gated
from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    GatedCell,
    Gradient,
    GradientMethod,
    Hook,
    Local,
    Shape,
    State,
)
from harness.model import Model

CHUNK = 64  # steps whose derivatives are had at once: long enough to batch, short enough to hold


@dataclass
class TimeBatched(GradientMethod):
    """The whole sequence, forward and backward, without autograd."""

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: the order of the products alone is changed."""
        return "exact"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell that does not work unit by unit."""
        if isinstance(model.cell, GatedCell):
            return None
        return f"{type(model.cell).__name__} does not work unit by unit between two affine maps"

    def cost(self, shape: Shape) -> Cost:
        """Return full BPTT's products; of each step the maps' outputs and the state are kept."""
        kept = (2 * shape.gates + shape.parts) * shape.states * shape.item_bytes
        return Cost(
            flops=shape.forward_flops + shape.backward_flops,
            kept_bytes=kept + shape.loss_bytes,
            sequential_depth=2 * shape.length,
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient by one loop forward and one back."""
        assert isinstance(model.cell, GatedCell), "supports says so"
        cell, state = model.cell, carry
        a = cell.from_input(window.inputs)  # (T, B, kH)
        mapped: list[Tensor | None] = []
        states = [state]
        for step in a:
            mapped.append(cell.from_hidden(state[0]))
            state = cell.gate(step, mapped[-1], state)
            states.append(state)
        hidden = torch.stack([each[0] for each in states])  # (T + 1, B, H)
        output, errors = model.at_output(hidden[1:], window.targets, window.weights)
        message = tuple(map(torch.zeros_like, state))
        behind: list[gated.Behind] = []
        for first in reversed(range(0, len(a), CHUNK)):
            last = min(first + CHUNK, len(a))
            before = tuple(map(torch.stack, zip(*states[first:last], strict=True)))
            local = cell.local(a[first:last], stacked(mapped[first:last]), before)
            for t in reversed(range(last - first)):
                message = (message[0] + errors[first + t], *message[1:])
                if hook is not None:
                    message = hook(window.start + first + t, message)
                behind.append(gated.through_units(at(local, t), message))
                message = gated.through_map(cell, behind[-1])
        found = gated.parameter_gradients(cell, window.inputs, hidden[:-1], whole(behind[::-1]))
        return Gradient(output.loss, {**found, **output.params}), state


def stacked(values: list[Tensor | None]) -> Tensor | None:
    """Return all steps' values as one tensor; None where the cell has none."""
    known = [value for value in values if value is not None]
    return torch.stack(known) if known else None


def at(local: Local, t: int) -> Local:
    """Return one step's derivatives; what the maps share stays shared."""
    by_input = local.by_input[t]
    by_hidden = None if local.by_hidden is None else local.by_hidden[t]
    shared = local.by_hidden is local.by_input
    own = None if local.by_own is None else local.by_own[t]
    return Local(by_input, by_input if shared else by_hidden, local.by_state[t], own)


def whole(steps: list[gated.Behind]) -> gated.Behind:
    """Return every step's outcome as one, time first; the states' part has served."""
    a = torch.stack([step.a for step in steps])
    shared = all(step.u is step.a for step in steps)
    u = a if shared else stacked([step.u for step in steps])
    return gated.Behind(a, u, (), stacked([step.own for step in steps]))
