"""Clamp every entry of dL/dsₜ to [−limit, limit] at every step on its way back.

Source: Mikolov (2012), Statistical language models based on neural networks, whose RNNLM toolkit
clamps the error of every hidden unit to [−15, 15] at each step.
Cost: one pass over the (B, H) parts of the state a step, and a hook at every state.
It cannot keep the direction, neither of a step's message nor of the whole gradient.
"""

from dataclasses import dataclass

from harness.contract import Clip, State


@dataclass
class HiddenValue(Clip):
    """Per-step element-wise clipping of the message that travels back."""

    uses_hidden = True
    # The toolkit's 15 is for losses of weight 1; here T·B of them share the weight 1, say 1,500.
    limit: float = 0.01

    def __post_init__(self) -> None:
        if self.limit <= 0:
            raise ValueError(f"limit must be above 0, not {self.limit}")

    def hidden(self, t: int, grads: State) -> State:
        """Return the step's message with every entry within the limit."""
        return tuple(grad.clamp(-self.limit, self.limit) for grad in grads)
