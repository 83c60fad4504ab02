"""Full backpropagation through time, cell by cell, by autograd.

Source: Rumelhart, Hinton and Williams (1986), Learning internal representations by error
propagation; Werbos (1990), Backpropagation through time: what it does and how to do it.
Time: one forward and one backward step for every time step. Memory: every step's activations, O(T).
It cannot start learning before the sequence ends, nor hold a sequence longer than memory.
"""

from dataclasses import dataclass

from harness.contract import Batch, Carry, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape
from harness.model import Model, detach


@dataclass
class FullBPTT(GradientMethod):
    """The whole sequence in one graph."""

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: this is the definition."""
        return "exact"

    def cost(self, shape: Shape) -> Cost:
        """Return 3 times the forward's products, and all activations kept."""
        return Cost(
            flops=shape.forward_flops + shape.backward_flops,
            kept_bytes=shape.saved_step * shape.states * shape.item_bytes
            + shape.loss_bytes
            + shape.state_bytes,  # the first
            sequential_depth=2 * shape.length,
            backward_bytes=shape.loss_bytes + shape.weight_bytes,  # dL/dh and dL/dy of every step
        )

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the gradient by one loop forward and autograd's way back."""
        hidden, state = model.roll(window.inputs, carry, window.start, hook)
        loss = model.loss(hidden, window.targets, window.weights)
        return model.gradient_of(loss), detach(state)
