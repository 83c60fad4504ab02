"""Clamp every entry of the gradient to ±√(θ v), v being the running mean of its square.

This is the spike rule of SPAM alone: without its resets of Adam's moments and its warm-ups of the
learning rate, which are the optimizer's. v is kept here, of the gradient as clamped, as Adam would.

Source: Huang, Zhu, Jin, Liu, Wang and Liu (2025), SPAM: spike-aware Adam with momentum reset for
stable LLM training, and the authors' code.
Cost: some ten element-wise passes over the P parameters; P numbers are kept.
It cannot keep the direction: a clamped gradient turns.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Clip, Gradients


@dataclass
class SPAM(Clip):
    """Element-wise clipping relative to each entry's own past."""

    threshold: float = 5000.0  # θ, the paper's
    beta2: float = 0.999  # decay of v, Adam's
    start: int = 20  # the first update that is clamped; v is too young before (the authors' code)

    def __post_init__(self) -> None:
        if self.threshold <= 0:
            raise ValueError(f"threshold must be above 0, not {self.threshold}")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 must be from 0 to below 1, not {self.beta2}")
        if self.start < 2:
            raise ValueError(f"start must be at least 2, not {self.start}: v is 0 before")
        self.updates = 0
        self.moments: dict[str, Tensor] = {}  # v of every parameter

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient with every entry within its own limit."""
        self.updates += 1
        return {name: self.clamped(name, grad) for name, grad in grads.items()}

    def clamped(self, name: str, grad: Tensor) -> Tensor:
        """Return one tensor clamped by its v, which then takes in what is finite of it.

        Where v is 0 there is no past to compare with: g²/v, the paper's measure, is undefined. The
        authors' code makes 0 of such an entry, then and ever after; here it passes.
        """
        moment = self.moments.get(name)
        if moment is None:
            moment = torch.zeros_like(grad)
        if self.updates >= self.start:
            limit = torch.where(moment > 0, (self.threshold * moment).sqrt(), math.inf)
            grad = grad.clamp(-limit, limit)
        later = self.beta2 * moment + (1 - self.beta2) * grad.square()
        self.moments[name] = torch.where(grad.isfinite(), later, moment)
        return grad
