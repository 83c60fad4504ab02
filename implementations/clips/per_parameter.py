"""Rescale each tensor of the gradient on its own: gₖ ← gₖ · min(1, c/‖gₖ‖).

Source: McMahan, Ramage, Talwar and Zhang (2018), Learning differentially private recurrent language
models, whose per-layer clipping this is with one bound for all; Keras knows it as `clipnorm`.
Cost: one pass over the P parameters, a norm a tensor.
It cannot keep the direction: where only some tensors are too long, the gradient turns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from harness.contract import Clip, Gradients

TINY = 1e-6  # as in torch.nn.utils.clip_grad_norm_, applied to one tensor at a time


@dataclass
class PerParameter(Clip):
    """Norm clipping of every tensor."""

    max_norm: float = 1.0  # the norm clip's; McMahan et al. tune it to the problem

    def __post_init__(self) -> None:
        if self.max_norm <= 0:
            raise ValueError(f"max_norm must be above 0, not {self.max_norm}")

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the tensors, each shortened where it is longer than `max_norm`."""
        return {
            name: grad * (self.max_norm / (grad.norm() + TINY)).clamp(max=1.0)
            for name, grad in grads.items()
        }
