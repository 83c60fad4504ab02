"""Say in one sentence what the cell does; `bptt list` shows it.

Source: authors (year), title.
Cost: number of weights, and tensors that autograd keeps for a step.
Say what it cannot do.

How to use this file: `bptt new cells my_cell` copies it to implementations/cells/my_cell.py, `bptt
check my_cell` tries its promises, and `cell = ["my_cell"]` in a sweep runs it under every gradient
method. As it stands it is a leaky integrator: hₜ = (1 − a) hₜ₋₁ + a tanh(W_h hₜ₋₁ + W_x xₜ + b).
"""

import torch
from torch import Tensor, nn

from harness.contract import Cell, State


class Template(Cell):
    """The keyword-only arguments of `__init__` are the parameters that a sweep may set."""

    parts = 1  # tensors in the state, each (B, H); the first is the output
    gates = 1  # weight blocks, for the theory's FLOPs
    saved_step = 3.0  # (B, H) tensors that autograd keeps for one step: tanh, its leak, the state

    def __init__(self, input_size: int, hidden_size: int, *, leak: float = 0.5) -> None:
        super().__init__(input_size, hidden_size)
        if not 0 < leak <= 1:
            raise ValueError(f"leak must be above 0 and at most 1, not {leak}")
        self.leak = leak
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)

    def advance(self, x: Tensor, state: State) -> State:
        """Return the state after one step; x is (B, I)."""
        (h,) = state
        candidate = torch.tanh(self.recurrent(h) + self.input(x))
        return ((1 - self.leak) * h + self.leak * candidate,)
