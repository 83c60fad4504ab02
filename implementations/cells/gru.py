"""The gated recurrent unit, reset after the product (the variant of torch, cuDNN and Haste).

r = σ(·), z = σ(·), n = tanh(W x + b + r ⊙ (R h + c)), hₜ = (1 − z) ⊙ n + z ⊙ hₜ₋₁.

Source: Cho et al. (2014), Learning phrase representations using RNN encoder-decoder.
Cost: kH(H + I) weights with k = 3; autograd keeps seven (B, H) tensors a step.
It cannot count without bound: its state stays within (−1, 1).
"""

import torch
from torch import Tensor, nn

from harness.contract import Cell, State


class GRU(Cell):
    """Gated recurrent unit."""

    parts = 1
    gates = 3
    fused = True
    saved_step = 7.0
    saved_fused = 7.0

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.GRU(input_size, hidden_size)

    def advance(self, x: Tensor, state: State) -> State:
        """Return (h,)."""
        rnn = self.rnn
        return (
            torch.gru_cell(
                x, state[0], rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0
            ),
        )

    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Return every h and the last state from torch's fused kernel."""
        outputs, last = self.rnn(inputs, state[0].unsqueeze(0))
        return outputs, (last[0],)
