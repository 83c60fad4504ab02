"""Long short-term memory without peepholes; gates stacked i, f, g, o as torch does.

cₜ = f ⊙ cₜ₋₁ + i ⊙ g, hₜ = o ⊙ tanh(cₜ).

Source: Hochreiter and Schmidhuber (1997), Long short-term memory; Gers et al. (2000) for f.
Cost: kH(H + I) weights with k = 4; autograd keeps seven (B, H) tensors a step.
It cannot keep a gradient alive through a forget gate that closes; see `forget_bias`.
"""

import torch
from torch import Tensor, nn

from harness.contract import Cell, State


class LSTM(Cell):
    """Long short-term memory; `forget_bias` is added to the forget gate's initial bias."""

    parts = 2
    gates = 4
    fused = True
    saved_step = 7.0
    saved_fused = 7.0

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = 0.0) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.LSTM(input_size, hidden_size)
        with torch.no_grad():
            self.rnn.bias_ih_l0[hidden_size : 2 * hidden_size] += forget_bias

    def advance(self, x: Tensor, state: State) -> State:
        """Return (h, c)."""
        rnn = self.rnn
        return torch.lstm_cell(
            x, state, rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0
        )

    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Return every h and the last state from torch's fused kernel."""
        hidden, memory = state
        outputs, last = self.rnn(inputs, (hidden.unsqueeze(0), memory.unsqueeze(0)))
        return outputs, (last[0][0], last[1][0])
