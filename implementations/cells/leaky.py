"""The leaky recurrent network: hₜ = (1 − a) hₜ₋₁ + a tanh(W_h hₜ₋₁ + W_x xₜ + b), a fixed.

Source: Funahashi and Nakamura (1993), Approximation of dynamical systems by continuous time
recurrent neural networks; Jaeger et al. (2007), Optimization and applications of echo state
networks with leaky-integrator neurons, for the discrete form.
Cost: kH(H + I) weights with k = 1; autograd keeps two (B, H) tensors a step, the state and tanh.
It cannot choose what to forget: every unit leaks at the same rate, whatever it reads.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from harness.contract import Affine, GatedCell, Local, State
from implementations.cells._initial import begin


class Leaky(GatedCell):
    """Leaky integration at rate `leak` of a tanh unit; `recurrent` is how W_h begins."""

    parts = 1
    gates = 1
    saved_step = 2.0
    input_map = Affine("input.weight", "input.bias")
    hidden_map = Affine("recurrent.weight", None)
    summed = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        leak: float = 0.5,
        recurrent: Literal["uniform", "identity", "orthogonal"] = "uniform",
    ) -> None:
        super().__init__(input_size, hidden_size)
        if not 0 < leak <= 1:
            raise ValueError(f"leak must be above 0 and at most 1, not {leak}")
        self.leak = leak
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        begin(self.recurrent.weight, recurrent)

    def gate(self, a: Tensor, u: Tensor, state: State) -> State:
        """Return the mixture of the old state and tanh(a + u)."""
        return ((1 - self.leak) * state[0] + self.leak * torch.tanh(a + u),)

    def local(self, a: Tensor, u: Tensor, state: State) -> Local:
        """Return a tanh', and 1 − a past the maps."""
        slope = self.leak * (1 - torch.tanh(a + u).square())[..., None, None, :]  # (..., 1, 1, H)
        return Local(slope, slope, torch.full_like(slope, 1 - self.leak))
