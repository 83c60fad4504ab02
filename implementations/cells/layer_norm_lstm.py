"""Long short-term memory whose sums are normalised over the units of each gate's block and of c.

(i, f, g, o) = N(W x) + N(R h) + b, cₜ = σ(f) ⊙ cₜ₋₁ + σ(i) ⊙ tanh(g), hₜ = σ(o) ⊙ tanh(N(cₜ)).

Source: Ba, Kiros and Hinton (2016), Layer normalization, equations 20 to 22, where N runs over all
four gates' sums at once, as it does here; its gains and biases are learned.
Cost: kH(H + I) weights with k = 4, and 14H of the norms; autograd keeps 15 (B, H) tensors a step.
It cannot be worked unit by unit, since N mixes the units, nor has it a fused kernel.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from harness.contract import Cell, State
from implementations.cells._initial import begin


class LayerNormLSTM(Cell):
    """Normalised long short-term memory; `forget_bias` is the forget gate's initial bias."""

    parts = 2
    gates = 4
    saved_step = 15.0  # and 6 numbers a sequence: mean and spread of three norms

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 0.0,
        recurrent: Literal["uniform", "identity", "orthogonal"] = "uniform",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 4 * hidden_size, bias=False)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.input_norm = nn.LayerNorm(4 * hidden_size)  # its bias is b of the gates
        self.recurrent_norm = nn.LayerNorm(4 * hidden_size, bias=False)
        self.memory_norm = nn.LayerNorm(hidden_size)
        begin(self.recurrent.weight, recurrent)
        with torch.no_grad():
            self.input_norm.bias[hidden_size : 2 * hidden_size] = forget_bias

    def advance(self, x: Tensor, state: State) -> State:
        """Return (h, c)."""
        hidden, memory = state
        total = self.input_norm(self.input(x)) + self.recurrent_norm(self.recurrent(hidden))
        i, f, g, o = total.chunk(4, -1)
        c = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.memory_norm(c)), c
