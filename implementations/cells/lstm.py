"""Long short-term memory without peepholes; gates stacked i, f, g, o as torch does.

cₜ = f ⊙ cₜ₋₁ + i ⊙ g, hₜ = o ⊙ tanh(cₜ).

Source: Hochreiter and Schmidhuber (1997), Long short-term memory; Gers et al. (2000) for f;
Tallec and Ollivier (2018), Can recurrent neural networks warp time?, for `longest_memory`.
Cost: kH(H + I) weights with k = 4; autograd keeps seven (B, H) tensors a step.
It cannot keep a gradient alive through a forget gate that closes; see `forget_bias`.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from harness.contract import Affine, GatedCell, Local, State
from implementations.cells._initial import begin


class LSTM(GatedCell):
    """Long short-term memory.

    `forget_bias` is added to the forget gate's initial bias. `longest_memory` is T_max of the
    chrono initialisation, in steps: units begin with memories drawn evenly from 1 to T_max - 1.
    """

    parts = 2
    gates = 4
    fused = True
    saved_step = 7.0
    saved_fused = 7.0
    input_map = Affine("rnn.weight_ih_l0", "rnn.bias_ih_l0")
    hidden_map = Affine("rnn.weight_hh_l0", "rnn.bias_hh_l0")
    summed = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 0.0,
        longest_memory: int | None = None,
        recurrent: Literal["uniform", "identity", "orthogonal"] = "uniform",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.LSTM(input_size, hidden_size)
        begin(self.rnn.weight_hh_l0, recurrent)
        with torch.no_grad():
            self.rnn.bias_ih_l0[hidden_size : 2 * hidden_size] += forget_bias
        if longest_memory is not None:
            if longest_memory < 3:
                raise ValueError(f"longest_memory must be at least 3 steps, not {longest_memory}")
            if forget_bias:
                raise ValueError("forget_bias and longest_memory both set the forget gate's bias")
            self._spread_memories(longest_memory)

    def advance(self, x: Tensor, state: State) -> State:
        """Return (h, c)."""
        rnn = self.rnn
        return torch.lstm_cell(
            x, state, rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0
        )

    def gate(self, a: Tensor, u: Tensor, state: State) -> State:
        """Return (h, c)."""
        i, f, g, o = gates_of(a + u)
        c = f * state[1] + i * g
        return o * torch.tanh(c), c

    def local(self, a: Tensor, u: Tensor, state: State) -> Local:
        """Return the derivatives of h and c by i, f, g, o before their nonlinearities, and by c."""
        i, f, g, o = gates_of(a + u)
        before = state[1]
        squashed = torch.tanh(f * before + i * g)
        into_h = o * (1 - squashed.square())  # ∂h/∂c
        none = torch.zeros_like(c_by_i := g * i * (1 - i))
        by_c = torch.stack([c_by_i, before * f * (1 - f), i * (1 - g.square()), none], -2)
        by_o = torch.stack([none, none, none, squashed * o * (1 - o)], -2)
        by_gates = torch.stack([into_h.unsqueeze(-2) * by_c + by_o, by_c], -3)  # (..., 2, 4, H)
        by_h, by_memory = torch.stack([none, none], -2), torch.stack([into_h * f, f], -2)
        return Local(by_gates, by_gates, torch.stack([by_h, by_memory], -2))

    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Return every h and the last state from torch's fused kernel."""
        hidden, memory = state
        outputs, last = self.rnn(inputs, (hidden.unsqueeze(0), memory.unsqueeze(0)))
        return outputs, (last[0][0], last[1][0])

    @torch.no_grad()
    def _spread_memories(self, longest: int) -> None:
        """Begin with b_f = log U(1, T_max - 1) and b_i = -b_f: about 1 / (1 - f) steps a unit."""
        steps = torch.empty(self.hidden_size).uniform_(1, longest - 1)
        i, f, _, _ = self.rnn.bias_ih_l0.chunk(4)
        f.copy_(steps.log())
        i.copy_(-f)
        self.rnn.bias_hh_l0[: len(i) + len(f)] = 0  # torch adds it to the one above


def gates_of(total: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return i, f, g, o."""
    i, f, g, o = total.chunk(4, -1)
    return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
