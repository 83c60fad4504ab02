"""Full backpropagation through time by torch's fused RNN, GRU and LSTM.

Source: the kernels behind torch.nn.RNN, GRU and LSTM: ATen or oneDNN on a CPU, cuDNN on CUDA.
Time: one call forward and one backward, each a sequential loop of T fused steps. Memory: O(T), the
kernel's own workspace instead of autograd's nodes. Theory is the least that will do; oneDNN's LSTM
in float32 keeps about twice that.
It cannot show dL/ds of single steps, so no clip of hidden gradients works with it.
"""

from dataclasses import dataclass

from harness.contract import Batch, Carry, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape
from harness.model import Model, detach


@dataclass
class Native(GradientMethod):
    """The whole sequence in one fused kernel."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: the kernel computes full BPTT."""
        return "exact"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell that has no fused kernel."""
        if model.cell.fused:
            return None
        return f"{type(model.cell).__name__} has no fused kernel for `native` to call"

    def cost(self, shape: Shape) -> Cost:
        """Return full BPTT's products, and what the fused kernel keeps."""
        return Cost(
            flops=shape.forward_flops + shape.backward_flops,
            kept_bytes=shape.saved_fused * shape.states * shape.item_bytes
            + shape.loss_bytes
            + 2 * shape.state_bytes,  # the first and the last
            sequential_depth=2 * shape.length,
            # dL/da of every step: W_x x is one product for all.
            backward_bytes=shape.gates * shape.states * shape.item_bytes + shape.weight_bytes,
        )

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the gradient through the fused kernel; `hook` cannot be honoured."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        hidden, state = model.cell.unroll(window.inputs, carry)
        loss = model.loss(hidden, window.targets, window.weights)
        return model.gradient_of(loss), detach(state)
