"""Adaptive gradient clipping: rescale each unit's gradient to at most λ of its weights' norm.

A unit is a row of a weight matrix (one gate of one unit); a bias is taken as a whole. The readout
is left alone: the paper finds it always better not to clip the final linear layer.

Source: Brock, De, Smith and Simonyan (2021), High-performance large-scale image recognition without
normalization.
Cost: two norms a row, one pass over the P gradients and one over the P parameters.
It cannot keep the direction, and it holds back weights that have to grow from near 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Clip, Gradients

READOUT = "readout."  # how the model names the parameters of its last linear layer
TINY = 1e-6  # the authors': against a division by 0


def unit_norms(tensor: Tensor) -> Tensor:
    """Return the norm of each row, (rows, 1); of a vector, its one norm."""
    return tensor.norm() if tensor.ndim <= 1 else tensor.norm(dim=1, keepdim=True)


@dataclass
class AGC(Clip):
    """Clipping relative to the weights, unit by unit."""

    clipping: float = 0.01  # the paper's λ at batches of 4096, and timm's default
    eps: float = 1e-3  # the paper's: rows of zeros can still move

    def __post_init__(self) -> None:
        for name, value in (("clipping", self.clipping), ("eps", self.eps)):
            if value <= 0:
                raise ValueError(f"{name} must be above 0, not {value}")

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return every unit's gradient, shortened where it is too long for the unit's weights."""
        return {
            name: grad if name.startswith(READOUT) else self.clipped(grad, params[name].detach())
            for name, grad in grads.items()
        }

    def clipped(self, grad: Tensor, param: Tensor) -> Tensor:
        """Return g · λ max(‖w‖, eps)/‖g‖ for the units where that is shorter than g."""
        longest = self.clipping * unit_norms(param).clamp(min=self.eps)
        norms = unit_norms(grad)
        return torch.where(norms < longest, grad, grad * (longest / norms.clamp(min=TINY)))
