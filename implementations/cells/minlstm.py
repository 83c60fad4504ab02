"""Minimal long short-term memory, whose gates read the input alone: hₜ = f ⊙ hₜ₋₁ + i ⊙ g.

f and i are σ(W_f x + b_f) and σ(W_i x + b_i) divided by their sum, g = positive(W_g x + b_g) as in
`mingru`. Since f + i = 1, i = σ(log σ(a_i) − log σ(a_f)), which no small gate divides by 0. The
state is affine in the state before, so that `linear_scan` has all of time at once.

Source: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi (2024), Were RNNs all we needed?, equations of
minLSTM, its gates normalised so that time does not scale the state.
Cost: 3HI weights and no (H, H) ones; autograd keeps about six (B, H) tensors a step.
It cannot let a unit see another, nor its own past, when it decides what to keep.
"""

import torch
from torch import Tensor, nn

from harness.contract import Affine, GatedCell, Local, State
from implementations.cells.mingru import positive, positive_slope


class MinLSTM(GatedCell):
    """Minimal long short-term memory; `forget_bias` is f's initial bias."""

    parts = 1
    gates = 3
    linear = True
    saved_step = 6.25  # −a_f, −a_i, i, σ, g, h; and a byte a unit for the side of 0
    input_map = Affine("input.weight", "input.bias")
    hidden_map = None

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = 0.0) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 3 * hidden_size)
        with torch.no_grad():
            self.input.bias[:hidden_size] += forget_bias

    def gate(self, a: Tensor, u: None, state: State) -> State:
        """Return (h,)."""
        a_f, a_i, a_g = a.chunk(3, -1)
        return (torch.lerp(state[0], positive(a_g), share(a_i, a_f)),)

    def local(self, a: Tensor, u: None, state: State) -> Local:
        """Return ∂h/∂(a_f, a_i, a_g), and ∂h/∂hₜ₋₁ = 1 − i."""
        a_f, a_i, a_g = a.chunk(3, -1)
        i = share(a_i, a_f)
        by_share = i * (1 - i) * (positive(a_g) - state[0])
        by_f, by_i = -by_share * torch.sigmoid(-a_f), by_share * torch.sigmoid(-a_i)
        by_input = torch.stack([by_f, by_i, i * positive_slope(a_g)], -2).unsqueeze(-3)
        return Local(by_input, None, (1 - i)[..., None, None, :])


def share(a: Tensor, other: Tensor) -> Tensor:
    """Return σ(a) / (σ(a) + σ(other))."""
    return torch.sigmoid(softplus(-other) - softplus(-a))


def softplus(value: Tensor) -> Tensor:
    """Return log(1 + exp v)."""
    # torch's own threshold, 20, is off by 2e-9; above 40 both are the same in float64.
    return nn.functional.softplus(value, threshold=40)
