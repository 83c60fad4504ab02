"""The gated recurrent unit, reset after the product (the variant of torch, cuDNN and Haste).

r = σ(·), z = σ(·), n = tanh(W x + b + r ⊙ (R h + c)), hₜ = (1 − z) ⊙ n + z ⊙ hₜ₋₁.

Source: Cho et al. (2014), Learning phrase representations using RNN encoder-decoder.
Cost: kH(H + I) weights with k = 3; autograd keeps seven (B, H) tensors a step.
It cannot count without bound: its state stays within (−1, 1).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from harness.contract import Affine, GatedCell, Local, State
from implementations.cells._initial import begin


class GRU(GatedCell):
    """Gated recurrent unit; `recurrent` is how each gate's block of R begins."""

    parts = 1
    gates = 3
    fused = True
    saved_step = 7.0
    saved_fused = 7.0
    input_map = Affine("rnn.weight_ih_l0", "rnn.bias_ih_l0")
    hidden_map = Affine("rnn.weight_hh_l0", "rnn.bias_hh_l0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        recurrent: Literal["uniform", "identity", "orthogonal"] = "uniform",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.GRU(input_size, hidden_size)
        begin(self.rnn.weight_hh_l0, recurrent)

    def advance(self, x: Tensor, state: State) -> State:
        """Return (h,)."""
        rnn = self.rnn
        return (
            torch.gru_cell(
                x, state[0], rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0
            ),
        )

    def gate(self, a: Tensor, u: Tensor, state: State) -> State:
        """Return (h,)."""
        _, z, n, _ = gates_of(a, u)
        return ((1 - z) * n + z * state[0],)

    def local(self, a: Tensor, u: Tensor, state: State) -> Local:
        """Return ∂h/∂(r, z, n) before their nonlinearities, and ∂h/∂hₜ₋₁ = z."""
        r, z, n, recurrent = gates_of(a, u)
        by_n = (1 - z) * (1 - n.square())
        by_r = by_n * recurrent * r * (1 - r)
        by_z = (state[0] - n) * z * (1 - z)
        return Local(
            torch.stack([by_r, by_z, by_n], -2).unsqueeze(-3),
            torch.stack([by_r, by_z, by_n * r], -2).unsqueeze(-3),
            z[..., None, None, :],
        )

    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Return every h and the last state from torch's fused kernel."""
        outputs, last = self.rnn(inputs, state[0].unsqueeze(0))
        return outputs, (last[0],)


def gates_of(a: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return r, z, n and the part of u that r lets into n."""
    (a_r, a_z, a_n), (u_r, u_z, u_n) = a.chunk(3, -1), u.chunk(3, -1)
    r, z = torch.sigmoid(a_r + u_r), torch.sigmoid(a_z + u_z)
    return r, z, torch.tanh(a_n + r * u_n), u_n
