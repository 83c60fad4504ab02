"""Unbiased online recurrent optimization: the influence as one product of two random vectors.

M ≈ s̃ ⊗ θ̃ with s̃ ← ρ₀ J s̃ + ρ₁ ν and θ̃ ← θ̃/ρ₀ + (νᵀ I)/ρ₁ for random signs ν, so that
E[s̃ ⊗ θ̃] = M; ρ₀ and ρ₁ balance the norms, which changes the variance and not the mean.

Source: Tallec and Ollivier (2018), Unbiased online recurrent optimization.
Time: one forward-mode and one reverse-mode pass a step. Memory: O(S + P) a sequence, flat in T.
It cannot be precise: its noise is several times the gradient, and grows with the sequence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness import derivative
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
from harness.drive import add
from harness.model import Model

TINY = 1e-7  # keeps the balance defined where a norm is 0; any balance is unbiased


@dataclass(frozen=True, slots=True)
class Carried:
    """The state, and the two factors of its influence, each sequence's own."""

    state: State
    moved: Tensor  # s̃ (B, S)
    weights: Gradients  # θ̃ (B, ...) for each parameter
    generator: torch.Generator


@dataclass
class UORO(GradientMethod):
    """A rank-one estimate of the influence, for any cell."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return unbiased: the mean over signs is real-time recurrent learning."""
        return "unbiased"

    def cost(self, shape: Shape) -> Cost:
        """Return three passes forward and one back a step, and the two factors, old and new."""
        cell = shape.forward_flops - shape.readout_flops
        weights = shape.gates * shape.hidden_size * (shape.input_size + shape.hidden_size + 2)
        carried = shape.batch_size * (shape.parts * shape.hidden_size + weights)
        return Cost(
            flops=5 * cell + 3 * shape.readout_flops,
            kept_bytes=2.0 * carried * shape.item_bytes,
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, which nothing has influenced."""
        state = model.initial_state(batch_size)
        own = derivative.weights(model.cell).items()
        none = {name: weight.new_zeros(batch_size, *weight.shape) for name, weight in own}
        return Carried(state, torch.zeros_like(derivative.join(state)), none, generator)

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Σₜ (qₜ · s̃ₜ) θ̃ₜ."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        total: Gradient | None = None
        for x, target, weight in zip(window.inputs, window.targets, window.weights, strict=True):
            carry = step(model, x, carry)
            output, error = model.at_output(carry.state[0], target, weight)
            share = (error * carry.moved[:, : error.shape[1]]).sum(1)  # (B,)
            cell = {name: torch.tensordot(share, w, 1) for name, w in carry.weights.items()}
            total = add(total, Gradient(output.loss, {**cell, **output.params}))
        assert total is not None, "a window has at least one step"
        return total, carry


def step(model: Model, x: Tensor, carry: Carried) -> Carried:
    """Return state and factors after one step."""
    before = derivative.join(carry.state)
    after, pushed = derivative.push(model.cell, x, before, carry.moved)
    coins = torch.randint(0, 2, before.shape, generator=carry.generator)
    signs = (2 * coins - 1).to(before)  # ν
    pulled, _ = derivative.pull(model.cell, x, before, signs)
    old = torch.sqrt((norm(carry.weights) + TINY) / (pushed.norm(dim=1) + TINY))  # ρ₀ (B,)
    new = torch.sqrt((norm(pulled) + TINY) / (signs.norm(dim=1) + TINY))  # ρ₁ (B,)
    weights = {
        name: along(1 / old, carry.weights[name]) + along(1 / new, pulled[name]) for name in pulled
    }
    moved = along(old, pushed) + along(new, signs)
    return Carried(derivative.split(model.cell, after), moved, weights, carry.generator)


def norm(grads: Gradients) -> Tensor:
    """Return each sequence's norm over all parameters, (B,)."""
    return torch.cat([grad.flatten(1) for grad in grads.values()], 1).norm(dim=1)


def along(scale: Tensor, value: Tensor) -> Tensor:
    """Return every sequence's value times its own scale."""
    return scale.view(-1, *[1] * (value.ndim - 1)) * value
