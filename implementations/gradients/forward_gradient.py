"""The forward gradient: the loss's slope along one random direction, times that direction.

g = (∇L · v) v with v ~ N(0, I) over all parameters, the readout's too; ∇L · v by one forward-mode
pass beside the sequence. E[v vᵀ] = I makes it right on average.

Source: Baydin, Pearlmutter, Syme, Wood and Torr (2022), Gradients without backpropagation; along
recurrent networks: Silver, Goyal, Danihelka, Hessel and van Hasselt (2022), Learning by directional
gradient descent.
Time: three forward passes. Memory: O(S + P), flat in T.
It cannot be precise: E‖g − ∇L‖² = (P + 1) ‖∇L‖², whatever the batch, since all sequences share v.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    Gradient,
    GradientMethod,
    Gradients,
    Hook,
    Shape,
    State,
)
from harness.model import Model

Carried = tuple[State, torch.Generator]


@dataclass
class ForwardGradient(GradientMethod):
    """One direction a sequence."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return unbiased, at any length."""
        return "unbiased"

    def cost(self, shape: Shape) -> Cost:
        """Return three products for each of the forward pass; nothing waits to go back.

        W h has two more for its tangent; W x has as many, though x's own tangent is 0.
        """
        return Cost(
            flops=3.0 * shape.forward_flops,
            kept_bytes=0.0,
            sequential_depth=shape.length,
            backward_bytes=2 * shape.weight_bytes,  # the direction, and the gradient along it
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, and the source of directions."""
        return model.initial_state(batch_size), generator

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return (∇L · v) v."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        state, generator = carry
        v = direction(model, generator)
        loss, slope, state = along(model, window, state, v)
        return Gradient(loss, {name: slope * part for name, part in v.items()}), (state, generator)


class Sequence(nn.Module):
    """The loss of a window as `forward`, the one method that other weights can be given to."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, window: Batch, state: State) -> tuple[Tensor, State]:
        """Return the loss, and the state after the window."""
        losses = []
        for x, target, weight in zip(window.inputs, window.targets, window.weights, strict=True):
            state = self.model.advance(x, state)
            losses.append(self.model.loss(state[0], target, weight))
        return torch.stack(losses).sum(), state


def direction(model: Model, generator: torch.Generator) -> Gradients:
    """Return v, drawn on the CPU to be the same on every device."""
    return {
        name: torch.randn(param.shape, generator=generator).to(param)
        for name, param in model.named_parameters()
    }


def along(model: Model, window: Batch, state: State, v: Gradients) -> tuple[Tensor, Tensor, State]:
    """Return the loss, ∇L · v, and the state after the window."""
    sequence = Sequence(model)

    def losses(weights: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        named = {f"model.{name}": weight for name, weight in weights.items()}
        found: tuple[Tensor, State] = functional_call(sequence, named, (window, state))
        return found

    weights = {name: param.detach() for name, param in model.named_parameters()}
    loss, slope, after = jvp(losses, (weights,), (v,), has_aux=True)
    return loss, slope, tuple(part.detach() for part in after)
