"""The spatial gradient: no message travels back in time, as if every step were the first.

Source: the lower end of truncation, Williams and Peng (1990) with depth 1; a control.
Time: one forward and one backward pass over all steps. Memory: O(1) in T.
It cannot credit anything earlier than the step whose loss it is.
"""

from dataclasses import dataclass

from harness.contract import Batch, Carry, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape
from harness.model import Model, detach


@dataclass
class Spatial(GradientMethod):
    """Truncation to one step."""

    stride = 1

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact for a single step only."""
        return "exact" if length == 1 else "biased"

    def keeps(self, length: int) -> list[tuple[int, int, int]]:
        """Return lag 0 of every step."""
        return [(t, t + 1, t) for t in range(length)]

    def cost(self, shape: Shape) -> Cost:
        """Return full BPTT's products but those that send a message back, and one step's memory."""
        back = 2.0 * shape.gates * shape.hidden_size * shape.states * shape.mixing  # dA R
        kept = (
            shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes
        ) / shape.length
        return Cost(
            flops=shape.forward_flops + shape.backward_flops - back,
            kept_bytes=kept + shape.state_bytes,
            sequential_depth=2 * shape.length,
        )

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the gradient of one step with the state before it held fixed."""
        hidden, state = model.roll(window.inputs, carry, window.start, hook)
        loss = model.loss(hidden, window.targets, window.weights)
        return model.gradient_of(loss), detach(state)
