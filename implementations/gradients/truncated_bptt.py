"""Truncated BPTT(k₁, k₂): every `stride` steps, back through the last `depth` steps.

The losses of a window's own `stride` steps are sent back through `depth` ≥ `stride` steps. The
state is carried from window to window, its history is not. stride = depth is the detached chunk of
language models; stride = 1 is the sliding window, exact up to lag `depth`.

Source: Williams and Peng (1990), An efficient gradient-based algorithm for on-line training of
recurrent network trajectories; Sutskever (2013), Training recurrent neural networks.
Time: the forward and backward work of full BPTT times depth/stride. Memory: O(depth).
It cannot credit an input for a loss that comes more than `depth` steps later.

The steps that windows share are run again with the parameters as they are now: a graph kept from
the window before would be stale as soon as an update had moved them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Batch, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape, State
from harness.model import Model, detach

Past = list[tuple[State, Tensor]]  # earlier windows, oldest first: the state before, the inputs


@dataclass
class TruncatedBPTT(GradientMethod):
    """Windows of `stride` steps, each differentiated over the last `depth` steps."""

    stride: int = 16
    depth: int = 16

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1 step, not {self.stride}")
        if self.depth < self.stride:
            raise ValueError(
                f"depth ({self.depth}) must be at least stride ({self.stride}): "
                "a window goes back through all of its own steps"
            )

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where no lag is cut off."""
        return "exact" if self.depth >= length else "biased"

    def keeps(self, length: int) -> list[tuple[int, int, int]]:
        """Return a rectangle a window: its own losses, back over `depth` steps."""
        ends = [min(first + self.stride, length) for first in range(0, length, self.stride)]
        starts = range(0, length, self.stride)
        return [
            (first, end, max(0, end - self.depth)) for first, end in zip(starts, ends, strict=True)
        ]

    def cost(self, shape: Shape) -> Cost:
        """Return the work of all windows with their overlaps, and the memory of the largest."""
        rectangles = self.keeps(shape.length)
        steps = sum(end - back for _, end, back in rectangles)
        deepest = max(end - back for _, end, back in rectangles)
        states = deepest / shape.length * shape.states  # numbers in one (depth, B, H) tensor
        window = min(self.stride, shape.length) * shape.batch_size  # predictions
        overlap = 0 if self.depth == self.stride else deepest * shape.batch_size
        past = -(-(self.depth - 1) // self.stride)  # windows whose first state is carried
        readout = 3 * shape.readout_flops  # of a window's own steps only
        whole = shape.forward_flops + shape.backward_flops - readout
        rewound = sum(back % self.stride for _, _, back in rectangles)  # to a step between windows
        alone = shape.forward_flops - shape.readout_flops
        return Cost(
            flops=readout + (whole * steps + alone * rewound) / shape.length,
            kept_bytes=(past + 1) * shape.state_bytes
            + shape.item_bytes
            * (
                (shape.saved_step + 1) * states
                + window * shape.output_size
                + overlap * shape.input_size
            ),
            sequential_depth=2 * steps,
            # dL/dh and dL/dy of a window; the sums so far, and its own gradient
            backward_bytes=shape.item_bytes * window * (shape.hidden_size + shape.output_size)
            + 2 * shape.weight_bytes,
        )

    def begin(
        self, model: Model, batch_size: int, generator: torch.Generator
    ) -> tuple[Past, State]:
        """Return no past and the zero state."""
        return [], model.initial_state(batch_size)

    def gradient(
        self, model: Model, window: Batch, carry: tuple[Past, State], hook: Hook | None = None
    ) -> tuple[Gradient, tuple[Past, State]]:
        """Return the gradient of the window's losses through the last `depth` steps."""
        past, state = carry
        start, overlap = rewind(model, past, self.depth - len(window), state)
        inputs = torch.cat([*overlap, window.inputs]) if overlap else window.inputs
        again = len(inputs) - len(window)
        hidden, last = model.roll(inputs, start, window.start - again, hook)
        loss = model.loss(hidden[again:], window.targets, window.weights)
        past = self.recent([*past, (state, window.inputs)])
        return model.gradient_of(loss), (past, detach(last))

    def recent(self, past: Past) -> Past:
        """Return the windows that the next one may reach: it may be as short as one step."""
        held = sum(len(inputs) for _, inputs in past)
        while past and held - len(past[0][1]) >= self.depth - 1:
            held -= len(past[0][1])
            past = past[1:]
        return past


def rewind(model: Model, past: Past, steps: int, state: State) -> tuple[State, list[Tensor]]:
    """Return the state up to `steps` steps ago, and the inputs since."""
    since: list[Tensor] = []
    for before, inputs in reversed(past):
        if steps <= 0:
            break
        skipped = max(0, len(inputs) - steps)
        since.insert(0, inputs[skipped:])
        steps -= len(inputs)
        state = before
        if skipped:
            with torch.no_grad():
                _, state = model.roll(inputs[:skipped], before)
    return state, since
