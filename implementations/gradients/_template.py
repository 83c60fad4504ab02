"""Say in one sentence what the method does; `bptt list` shows it.

Source: authors (year), title.
Time: in T, H and P. Memory: in T, H and P.
Say what it cannot do.

How to use this file: `bptt new gradients my_rule` copies it to implementations/gradients/my_rule.py
(the name of the file is the name of the plugin), `bptt check my_rule` tries its promises, and
`gradient = "my_rule"` in a sweep puts it into the tables and plots. As it stands it is the spatial
gradient: no message travels back in time, as if every step were the first.
"""

from dataclasses import dataclass

import torch

from harness.contract import Batch, Carry, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape
from harness.model import Model, detach, watch


@dataclass
class Template(GradientMethod):
    """One class a file; its annotated fields are the parameters that a sweep may set."""

    scale: float = 1.0  # an example: `gradient = { use = "my_rule", scale = [0.5, 1.0] }`

    # `stride = 8` here would hand over eight steps at a time; by default it is the whole sequence.

    def __post_init__(self) -> None:
        # Refuse what cannot work; the sentence reaches the user with the line of the sweep.
        if self.scale <= 0:
            raise ValueError(f"scale must be above 0, not {self.scale}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return whether this is full BPTT's gradient, so on average, or neither: it is checked."""
        return "exact" if length == 1 and self.scale == 1.0 else "biased"

    def keeps(self, length: int) -> list[tuple[int, int, int]] | None:
        """Return which part of the exact gradient this is by definition; None where it is not."""
        return [(t, t + 1, t) for t in range(length)] if self.scale == 1.0 else None

    def cost(self, shape: Shape) -> Cost:
        """Return the theory drawn beside the measurements; leave this out if there is none."""
        kept = shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes
        return Cost(shape.forward_flops + shape.backward_flops, kept, 2 * shape.length)

    # `begin` returns what is carried into the first window; by default the zero state.

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the window's gradient, and the carry for the next window without any history."""
        state, outputs = carry, []
        for t, x in enumerate(window.inputs, window.start):  # x: (B, I)
            state = watch(model.advance(x, detach(state)), t, hook)  # lets a hook see dL/ds_t
            outputs.append(state[0])  # (B, H)
        loss = model.loss(torch.stack(outputs), window.targets, window.weights)
        gradient = model.gradient_of(loss)
        params = {name: self.scale * grad for name, grad in gradient.params.items()}
        return Gradient(gradient.loss, params), detach(state)
