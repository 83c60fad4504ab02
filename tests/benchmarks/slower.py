"""Full BPTT that takes some of its steps again: a slowdown of known size, for the benchmarks.

Source: Werbos (1990), Backpropagation through time: what it does and how to do it.
Time: full BPTT's, and 1 forward step for each of some steps. Memory: full BPTT's, O(T).
It cannot be recommended.
"""

from dataclasses import dataclass

import torch

from harness.contract import Batch, Carry, Gradient, GradientMethod, Hook
from harness.model import Model
from implementations.gradients.full_bptt import FullBPTT


@dataclass
class Slower(FullBPTT, GradientMethod):
    """Takes one forward step in `every` again, and throws the state away."""

    every: int = 10  # 3 % of full BPTT's time, as bench_slowdown.py measures

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return full BPTT's gradient."""
        with torch.no_grad():
            for x in window.inputs[:: self.every]:
                model.advance(x, carry)
        return super().gradient(model, window, carry, hook)
