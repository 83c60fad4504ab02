"""The readout's gradient alone: the cell stays as it began, a reservoir.

Source: Jaeger (2001), The "echo state" approach to analysing and training recurrent neural
networks, with gradient steps where that has a regression; a control.
Time: one forward pass, and the readout's backward. Memory: the outputs of all steps, O(T).
It cannot train the cell: what another method reaches beyond this, it owes to training the cell.
"""

from dataclasses import dataclass

import torch

from harness.contract import Batch, Carry, Cost, Gradient, GradientMethod, Hook, Shape
from harness.model import Model


@dataclass
class OutputOnly(GradientMethod):
    """Exact for the readout, 0 for the cell."""

    hooked = False

    def keeps(self, length: int) -> list[tuple[int, int, int]]:
        """Return every loss, and no step of the cell."""
        return [(0, length, length)]

    def cost(self, shape: Shape) -> Cost:
        """Return the forward pass and the readout's own gradient."""
        return Cost(
            flops=shape.forward_flops + shape.readout_flops,
            kept_bytes=shape.loss_bytes + 2 * shape.state_bytes,
            sequential_depth=shape.length,
        )

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the gradient of the losses at outputs that are taken as given."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        with torch.no_grad():
            hidden, state = model.roll(window.inputs, carry, window.start)
        loss = model.loss(hidden, window.targets, window.weights)
        return model.gradient_of(loss), state
