"""Rescale the whole gradient where its norm lies more than z standard deviations above its mean.

After the warm-up, z = (‖g‖ − μ)/(σ + 1e-6); where z > z*, g is rescaled to μ + z* σ · z*/z, so the
further out a spike, the nearer to μ it ends. μ and σ² are moving averages of the norms as clipped.

Source: Kumar, Owen, Roy Chowdhury and Güra (2025), ZClip: adaptive spike mitigation for LLM
pre-training, and the authors' code.
Cost: one pass over the P parameters; three numbers are kept. Nothing is read back from the device.
It cannot act during its warm-up, but for the fixed bound, nor tell a lasting rise from a spike.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from harness.contract import Clip, Gradients

TINY = 1e-6  # the authors': norms that never vary have no deviation


@dataclass
class ZClip(Clip):
    """Norm clipping of what is an outlier among recent norms."""

    alpha: float = 0.97  # of the moving averages; the paper's
    z_threshold: float = 2.5  # z*, the paper's
    warmup: int = 25  # norms whose plain mean and variance come first; the authors' code
    max_norm: float = 1.0  # a fixed bound on top, the default of the authors' code; inf: none

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha must be from 0 to below 1, not {self.alpha}")
        if self.warmup < 1:
            raise ValueError(f"warmup must be at least 1, not {self.warmup}")
        for name, value in (("z_threshold", self.z_threshold), ("max_norm", self.max_norm)):
            if value <= 0:
                raise ValueError(f"{name} must be above 0, not {value}")
        self.count = self.mean = self.variance = torch.zeros(())  # of the norms seen

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient, shortened where it is a spike or longer than `max_norm`."""
        norm = get_total_norm(grads.values())
        number = torch.promote_types(norm.dtype, torch.float32)  # averages stall in bfloat16
        self.count, self.mean, self.variance = (
            one.to(norm.device, number) for one in (self.count, self.mean, self.variance)
        )
        threshold = self.threshold(norm)
        self.observe(torch.minimum(norm, threshold))
        bound = threshold.clamp(max=self.max_norm)
        scale = torch.where(norm > bound, bound / norm, 1.0)
        return {name: grad * scale for name, grad in grads.items()}

    def threshold(self, norm: Tensor) -> Tensor:
        """Return what a spike is rescaled to; infinity where `norm` is none."""
        deviation = self.variance.sqrt()
        z = (norm - self.mean) / (deviation + TINY)
        spike = (self.count >= self.warmup) & (z > self.z_threshold)
        return torch.where(spike, self.mean + self.z_threshold**2 * deviation / z, math.inf)

    def observe(self, norm: Tensor) -> None:
        """Take a norm into μ and σ².

        Left out is what the paper never meets: a norm that is not finite, which would end all
        clipping, and the 0 of a window without a loss.
        """
        warming = self.count < self.warmup
        share = torch.where(warming, 1 / (self.count + 1), 1 - self.alpha)
        mean = self.mean + share * (norm - self.mean)
        # Warming, this is the variance of all norms so far; then the authors' average of (‖g‖ − μ)²
        # about the new μ.
        square = (norm - mean) * (norm - torch.where(warming, self.mean, mean))
        variance = (1 - share) * self.variance + share * square
        taken = (norm > 0) & norm.isfinite()
        self.mean = torch.where(taken, mean, self.mean)
        self.variance = torch.where(taken, variance, self.variance)
        self.count = self.count + taken
