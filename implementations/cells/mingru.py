"""The minimal gated recurrent unit, whose gate reads the input alone: hₜ = (1 − z) ⊙ hₜ₋₁ + z ⊙ g.

z = σ(W_z x + b_z), g = positive(W_g x + b_g), with positive(v) = v + ½ above 0 and σ(v) below. The
state is affine in the state before, so that `linear_scan` has all of time at once. The paper takes
logarithms for that (Heinsen, 2023), which an associative scan has no need of: it only multiplies
numbers between 0 and 1, and keeps the digits that a long sum of logarithms loses.

Source: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi (2024), Were RNNs all we needed?, equations of
minGRU with the positive candidate of their appendix.
Cost: 2HI weights and no (H, H) ones; autograd keeps about four (B, H) tensors a step.
It cannot let a unit see another, nor its own past, when it decides what to keep.
"""

import torch
from torch import Tensor, nn

from harness.contract import Affine, GatedCell, Local, State


class MinGRU(GatedCell):
    """Minimal gated recurrent unit; `update_bias` is z's initial bias: about 1/z steps are kept."""

    parts = 1
    gates = 2
    linear = True
    saved_step = 4.25  # z, σ, g, h; and a byte a unit for the side of 0
    input_map = Affine("input.weight", "input.bias")
    hidden_map = None

    def __init__(self, input_size: int, hidden_size: int, *, update_bias: float = 0.0) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 2 * hidden_size)
        with torch.no_grad():
            self.input.bias[:hidden_size] += update_bias

    def gate(self, a: Tensor, u: None, state: State) -> State:
        """Return (h,)."""
        a_z, a_g = a.chunk(2, -1)
        return (torch.lerp(state[0], positive(a_g), torch.sigmoid(a_z)),)

    def local(self, a: Tensor, u: None, state: State) -> Local:
        """Return ∂h/∂(a_z, a_g), and ∂h/∂hₜ₋₁ = 1 − z."""
        a_z, a_g = a.chunk(2, -1)
        z = torch.sigmoid(a_z)
        by_z = z * (1 - z) * (positive(a_g) - state[0])
        by_input = torch.stack([by_z, z * positive_slope(a_g)], -2).unsqueeze(-3)
        return Local(by_input, None, (1 - z)[..., None, None, :])


def positive(value: Tensor) -> Tensor:
    """Return v + ½ where v ≥ 0 and σ(v) elsewhere: continuous, and above 0."""
    return torch.where(value >= 0, value + 0.5, torch.sigmoid(value))


def positive_slope(value: Tensor) -> Tensor:
    """Return the derivative of `positive`, 1 at the kink as autograd has it."""
    below = torch.sigmoid(value)
    return torch.where(value >= 0, 1.0, below * (1 - below))
