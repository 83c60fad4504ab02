"""Clamp every entry of the gradient to [−limit, limit].

Source: torch.nn.utils.clip_grad_value_, after Mikolov (2012), Statistical language models based on
neural networks, who clamps what travels back instead: that is `hidden_value`.
Cost: one pass over the P parameters.
It cannot keep the direction: a clamped gradient turns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from harness.contract import Clip, Gradients


@dataclass
class Value(Clip):
    """Element-wise clipping."""

    limit: float = 1.0

    def __post_init__(self) -> None:
        if self.limit <= 0:
            raise ValueError(f"limit must be above 0, not {self.limit}")

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient with every entry within the limit."""
        return {name: grad.clamp(-self.limit, self.limit) for name, grad in grads.items()}
