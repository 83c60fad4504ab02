"""The simple recurrent network: hₜ = tanh(W_h hₜ₋₁ + W_x xₜ + b).

Source: Elman (1990), Finding structure in time.
Cost: kH(H + I) weights with k = 1; autograd keeps one (B, H) tensor a step, since tanh' = 1 − h².
It cannot hold information for long: the gradient shrinks or grows by W_h at every step.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from harness.contract import Affine, GatedCell, Local, State
from implementations.cells._initial import begin, thin


class Elman(GatedCell):
    """tanh of a linear map of input and last output.

    `recurrent` is how W_h begins, and `density` the share of it that does not begin at 0.
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
        recurrent: Literal["uniform", "identity", "orthogonal"] = "uniform",
        density: float = 1.0,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.RNN(input_size, hidden_size)
        begin(self.rnn.weight_hh_l0, recurrent)
        thin(self.rnn.weight_hh_l0, density)

    def advance(self, x: Tensor, state: State) -> State:
        """Return (h,)."""
        rnn = self.rnn
        return (
            torch.rnn_tanh_cell(
                x, state[0], rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0
            ),
        )

    def gate(self, a: Tensor, u: Tensor, state: State) -> State:
        """Return (tanh(a + u),)."""
        return (torch.tanh(a + u),)

    def local(self, a: Tensor, u: Tensor, state: State) -> Local:
        """Return tanh' = 1 − h²; the old state acts through u alone."""
        slope = (1 - torch.tanh(a + u).square())[..., None, None, :]  # (..., 1, 1, H)
        return Local(slope, slope, torch.zeros_like(slope))

    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Return every h and the last state from torch's fused kernel."""
        outputs, last = self.rnn(inputs, state[0].unsqueeze(0))
        return outputs, (last[0],)
