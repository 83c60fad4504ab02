"""Full BPTT that keeps h alone: the gates of many steps are had again from h by one product.

Every hₜ₋₁ is known, so that unlike a checkpointed pass the rebuilding need not go step by step. An
LSTM's c comes again from its gates, unit by unit, from one kept c every `chunk` steps.

Source: the recomputation of Chen, Xu, Zhang and Guestrin (2016), Training deep nets with sublinear
memory cost, where it costs least; the backward pass of Werbos (1990).
Time: one more forward pass of products, batched over time. Memory: O(T), one tensor (B, H) a step,
and one chunk's derivatives.
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
from harness.drive import add, windows
from harness.model import Model


@dataclass
class HOnly(GradientMethod):
    """Exact gradients from h of every step; `chunk` is how many steps are rebuilt at once."""

    chunk: int = 64  # long enough to batch, short enough to hold

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"chunk must be at least 1 step, not {self.chunk}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: only gates are dropped, no gradient is."""
        return "exact"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell that does not work unit by unit."""
        if isinstance(model.cell, GatedCell):
            return None
        return f"{type(model.cell).__name__} does not work unit by unit between two affine maps"

    def cost(self, shape: Shape) -> Cost:
        """Return one more forward pass; of the chunks, the state each begins with is kept."""
        chunks = -(-shape.length // self.chunk)
        return Cost(
            flops=2 * shape.forward_flops + shape.backward_flops - shape.readout_flops,
            kept_bytes=shape.loss_bytes + (chunks + 1) * shape.state_bytes,
            sequential_depth=2 * shape.length,
            backward_bytes=shape.loss_bytes
            + shape.local_bytes(min(self.chunk, shape.length))
            + 2 * shape.weight_bytes,  # the sums, and a chunk's share
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient, last chunk first."""
        cell = model.cell
        assert isinstance(cell, GatedCell), "supports says so"
        chunks = list(windows(window, self.chunk))
        hidden = carry[0].new_empty(len(window) + 1, *carry[0].shape)  # (T + 1, B, H)
        hidden[0], starts = carry[0], [carry]
        for chunk in chunks:
            first = chunk.start - window.start
            starts.append(forward(cell, chunk, starts[-1], hidden[first + 1 :]))
        last = starts.pop()
        output, errors = model.at_output(hidden[1:], window.targets, window.weights)
        message = tuple(map(torch.zeros_like, last))
        total: Gradient | None = None
        while chunks:
            chunk = chunks.pop()
            first = chunk.start - window.start
            cut = slice(first, first + len(chunk))
            local = rebuilt(cell, chunk, starts.pop(), hidden[cut])
            steps, message = gated.through_steps(
                cell, local, errors[cut], message, hook, chunk.start
            )
            found = gated.parameter_gradients(cell, chunk.inputs, hidden[cut], gated.stacked(steps))
            total = add(total, Gradient(output.loss, found))
        assert total is not None, "a window has at least one step"
        return Gradient(output.loss, {**total.params, **output.params}), last


def forward(cell: GatedCell, chunk: Batch, state: State, hidden: Tensor) -> State:
    """Return the state after a chunk; h of its steps goes to `hidden`."""
    for t, a in enumerate(cell.from_input(chunk.inputs)):
        state = cell.gate(a, cell.from_hidden(state[0]), state)
        hidden[t] = state[0]
    return tuple(part.clone() for part in state)


def rebuilt(cell: GatedCell, chunk: Batch, start: State, hidden: Tensor) -> Local:
    """Return the derivatives of a chunk's steps, from h before each and the state before all."""
    a, u = cell.from_input(chunk.inputs), cell.from_hidden(hidden)
    if cell.parts == 1:
        return cell.local(a, u, (hidden,))
    states = [start]
    for t in range(len(chunk) - 1):
        states.append(cell.gate(a[t], None if u is None else u[t], states[-1]))
    return cell.local(a, u, tuple(map(torch.stack, zip(*states, strict=True))))
