"""Rescale the whole gradient to at most `max_norm`: g ← g · min(1, c/‖g‖).

Source: Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks.
Cost: one pass over the P parameters.
It cannot tell a useful long step from an explosion; the direction is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn.utils import get_total_norm

from harness.contract import Clip, Gradients

TINY = 1e-6  # as in torch.nn.utils.clip_grad_norm_, so that both give the same numbers


@dataclass
class Norm(Clip):
    """Global-norm clipping."""

    max_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.max_norm <= 0:
            raise ValueError(f"max_norm must be above 0, not {self.max_norm}")

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient, shortened where it is longer than `max_norm`."""
        scale = (self.max_norm / (get_total_norm(grads.values()) + TINY)).clamp(max=1.0)
        return {name: grad * scale for name, grad in grads.items()}
