"""Add Gaussian noise to the gradient that fades over training: g ← g + N(0, η/(1 + t)^γ).

t counts the updates of the trial from 0. The noise comes from torch's global generator, which the
harness seeds anew for every trial, so a trial that is run again meets the same noise.

Source: Neelakantan, Vilnis, Le, Sutskever, Kaiser, Kurach and Martens (2015), Adding gradient noise
improves learning for very deep networks.
Cost: P normal numbers and one pass over the P parameters.
It cannot shorten anything: to bound the gradient too, put a clip before it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Clip, Gradients


@dataclass
class Noise(Clip):
    """Annealed gradient noise."""

    eta: float = 0.01  # variance at t = 0: the least of the paper's 0.01, 0.3 and 1
    gamma: float = 0.55  # decay, the paper's

    def __post_init__(self) -> None:
        for name, value in (("eta", self.eta), ("gamma", self.gamma)):
            if value < 0:
                raise ValueError(f"{name} must be at least 0, not {value}")
        self.updates = 0

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient with the noise of update `t` added to every entry."""
        deviation = math.sqrt(self.eta / (1 + self.updates) ** self.gamma)
        self.updates += 1
        return {name: grad + deviation * torch.randn_like(grad) for name, grad in grads.items()}
