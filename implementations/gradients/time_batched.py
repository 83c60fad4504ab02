"""Full BPTT by hand: the loop holds what must be sequential, everything else is batched over time.

Forward, W_x X is one product for all steps. Backward, the units' derivatives are had for many steps
at once, the loop sends dL/ds through them and through W_h, and each weight's gradient is one
product for as many steps: dW_h = dUᵀ H, dW_x = dAᵀ X.

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
    Shape,
    State,
)
from harness.drive import add
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
        maps = 2 if shape.mixing else 1
        kept = (maps * shape.gates + shape.parts - 1) * shape.states * shape.item_bytes
        return Cost(
            flops=shape.forward_flops + shape.backward_flops,
            kept_bytes=kept + shape.loss_bytes,
            sequential_depth=2 * shape.length,
            backward_bytes=shape.loss_bytes
            + shape.local_bytes(min(CHUNK, shape.length))
            + 2 * shape.weight_bytes,  # the sums, and a chunk's share
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient by one loop forward and one back."""
        assert isinstance(model.cell, GatedCell), "supports says so"
        cell, state = model.cell, carry
        a = cell.from_input(window.inputs)  # (T, B, kH)
        hidden = a.new_empty(len(a) + 1, *state[0].shape)  # (T + 1, B, H)
        hidden[0], others = state[0], []  # the other parts of the state before each step
        mapped: list[Tensor | None] = []
        for t, step in enumerate(a):
            others.append(state[1:])
            mapped.append(cell.from_hidden(state[0]))
            state = cell.gate(step, mapped[-1], state)
            hidden[t + 1] = state[0]
        output, errors = model.at_output(hidden[1:], window.targets, window.weights)
        message = tuple(map(torch.zeros_like, state))
        total: Gradient | None = None
        for first in reversed(range(0, len(a), CHUNK)):
            cut = slice(first, min(first + CHUNK, len(a)))
            before = (hidden[:-1][cut], *map(torch.stack, zip(*others[cut], strict=True)))
            local = cell.local(a[cut], gated.stacked_known(mapped[cut]), before)
            start = window.start + first
            steps, message = gated.through_steps(cell, local, errors[cut], message, hook, start)
            behind = gated.stacked(steps)
            found = gated.parameter_gradients(cell, window.inputs[cut], hidden[:-1][cut], behind)
            total = add(total, Gradient(output.loss, found))
        assert total is not None, "a window has at least one step"
        return Gradient(output.loss, {**total.params, **output.params}), state
