"""The rectified recurrent network that begins as an integrator: hₜ = relu(W_h hₜ₋₁ + W_x xₜ + b).

Source: Le, Jaitly and Hinton (2015), A simple way to initialize recurrent networks of rectified
linear units: W_h the identity times a scale, biases 0, W_x Gaussian; `recurrent` gives the
rectified networks that begin otherwise, for comparison.
Cost: kH(H + I) weights with k = 1; autograd keeps one (B, H) tensor a step, since relu' = [h > 0].
It cannot bound its state: where W_h grows beyond the identity, h and its gradient explode.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from harness.contract import Affine, GatedCell, Local, State
from implementations.cells._initial import begin


class IRNN(GatedCell):
    """relu of a linear map.

    W_h begins as `scale` times (the paper's 1 or 0.01) the identity, or what else `recurrent` says,
    W_x with the standard deviation `input_spread` (the paper's 0.001).
    """

    parts = 1
    gates = 1
    fused = True
    saved_step = 1.0
    saved_fused = 1.0
    input_map = Affine("rnn.weight_ih_l0", "rnn.bias_ih_l0")
    hidden_map = Affine("rnn.weight_hh_l0", "rnn.bias_hh_l0")
    summed = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        recurrent: Literal["uniform", "identity", "orthogonal"] = "identity",
        scale: float = 1.0,
        input_spread: float = 1e-3,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.RNN(input_size, hidden_size, nonlinearity="relu")
        begin(self.rnn.weight_hh_l0, recurrent)
        with torch.no_grad():
            nn.init.normal_(self.rnn.weight_ih_l0, std=input_spread)
            self.rnn.weight_hh_l0.mul_(scale)
            nn.init.zeros_(self.rnn.bias_ih_l0)
            nn.init.zeros_(self.rnn.bias_hh_l0)

    def advance(self, x: Tensor, state: State) -> State:
        """Return (h,)."""
        rnn = self.rnn
        return (
            torch.rnn_relu_cell(
                x, state[0], rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0
            ),
        )

    def gate(self, a: Tensor, u: Tensor, state: State) -> State:
        """Return (relu(a + u),)."""
        return (torch.relu(a + u),)

    def local(self, a: Tensor, u: Tensor, state: State) -> Local:
        """Return relu' = [a + u > 0], 0 at the kink as torch has it."""
        slope = (a + u > 0).to(a.dtype)[..., None, None, :]  # (..., 1, 1, H)
        return Local(slope, slope, torch.zeros_like(slope))

    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Return every h and the last state from torch's fused kernel."""
        outputs, last = self.rnn(inputs, state[0].unsqueeze(0))
        return outputs, (last[0],)
