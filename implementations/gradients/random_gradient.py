"""Noise as long as the gradient: every parameter tensor moves in a random direction, as far as full
BPTT would have moved it.

A control: whatever is learned this way is owed to the size of the steps and not to their direction.
The length is that of full BPTT's own gradient of the window, tensor by tensor, so that no other
difference is left; any cheaper length would be a second difference.

Source: none; the direction is uniform on the sphere, as a normalised Gaussian is (Muller, 1959, A
note on a method for generating points uniformly on n-dimensional spheres).
Time and memory: full BPTT's, whose lengths it borrows: its speed says nothing.
It cannot learn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Batch, Cost, Gradient, GradientMethod, Hook, Shape, State
from harness.model import Model, detach
from implementations.gradients.full_bptt import FullBPTT

Carried = tuple[State, torch.Generator]


@dataclass
class RandomGradient(GradientMethod):
    """The lengths of the exact gradient, without its directions."""

    def cost(self, shape: Shape) -> Cost:
        """Return what full BPTT costs."""
        return FullBPTT().cost(shape)

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, and the source of directions."""
        return model.initial_state(batch_size), generator

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return noise of the exact gradient's lengths."""
        state, generator = carry
        hidden, state = model.roll(window.inputs, state, window.start, hook)
        exact = model.gradient_of(model.loss(hidden, window.targets, window.weights))
        params = {name: turned(grad, generator) for name, grad in exact.params.items()}
        return Gradient(exact.loss, params), (detach(state), generator)


def turned(grad: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random vector as long as `grad`, drawn on the CPU to be the same on every device."""
    drawn = torch.randn(grad.shape, generator=generator).to(grad)
    return grad.norm() / drawn.norm() * drawn
