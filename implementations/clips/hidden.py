"""Rescale dL/dsₜ to at most `max_norm` at every step on its way back.

The norm is taken over the whole batch and all parts of the state, of the loss as it is weighted
(its weights sum to 1 over a sequence), before the message goes one step further back.

Source: Graves (2013), Generating sequences with recurrent neural networks, who clamps the entries
of the derivatives inside a step; rescaling what travels between steps keeps each message's
direction. `hidden_value` clamps.
Cost: one norm a step, and a hook at every state.
It cannot keep the direction of the whole gradient: the sum may even point uphill.
"""

from dataclasses import dataclass

from torch.nn.utils import get_total_norm

from harness.contract import Clip, State

TINY = 1e-6  # as in torch.nn.utils.clip_grad_norm_


@dataclass
class Hidden(Clip):
    """Per-step clipping of the message that travels back."""

    uses_hidden = True
    max_norm: float = 0.001  # the weights of a loss sum to 1, so one step's share is about 1/T

    def __post_init__(self) -> None:
        if self.max_norm <= 0:
            raise ValueError(f"max_norm must be above 0, not {self.max_norm}")

    def hidden(self, t: int, grads: State) -> State:
        """Return the step's message, shortened where it is longer than `max_norm`."""
        scale = (self.max_norm / (get_total_norm(grads) + TINY)).clamp(max=1.0)
        return tuple(grad * scale for grad in grads)
