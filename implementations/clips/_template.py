"""Say in one sentence what the clip does; `bptt list` shows it.

Source: authors (year), title.
Cost: in P and T.
Say what it cannot do.

How to use this file: `bptt new clips my_clip` copies it to implementations/clips/my_clip.py, `bptt
check my_clip` tries its promises, and `clip = ["my_clip"]` in a sweep applies it. As it stands it
rescales each tensor of the gradient on its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from harness.contract import Clip, Gradients


@dataclass
class Template(Clip):
    """One class a file; its annotated fields are the parameters that a sweep may set."""

    max_norm: float = 1.0

    # `uses_hidden = True` and a method `hidden(self, t, grads)` would change dL/ds_t instead.

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return new tensors; change neither argument, and read nothing back from the device."""
        return {
            name: grad * (self.max_norm / (grad.norm() + 1e-6)).clamp(max=1.0)
            for name, grad in grads.items()
        }
