"""Unbiased online recurrent optimization: the influence as one product of two random vectors.

M ≈ s̃ ⊗ θ̃ with s̃ ← ρ₀ J s̃ + ρ₁ ν and θ̃ ← θ̃/ρ₀ + (νᵀ I)/ρ₁ for random signs ν, so that
E[s̃ ⊗ θ̃] = M; ρ₀ and ρ₁ balance the norms, which changes the variance and not the mean.

Source: Tallec and Ollivier (2018), Unbiased online recurrent optimization.
Time: J s̃ and νᵀ I a step, O(P); by autograd where a cell does not work unit by unit.
Memory: O(S + P) a sequence, flat in T.
It cannot be precise: its noise is several times the gradient, and grows with the sequence.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from harness import derivative, gated, online, trace
from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    GatedCell,
    Gradient,
    GradientMethod,
    Gradients,
    Hook,
    Shape,
    State,
)
from harness.model import Model
from implementations.gradients._chance import signs

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
        """Return the forward pass, W_h s̃ of every step, the credit, and the two factors, twice."""
        state = shape.parts * shape.hidden_size
        carried = shape.batch_size * (state + trace.cell_weights(shape))
        through = 2.0 * shape.gates * shape.hidden_size * shape.states * shape.mixing
        return Cost(
            flops=shape.forward_flops
            + 2 * shape.readout_flops
            + through
            + trace.credit_flops(shape),
            kept_bytes=online.kept_bytes(shape, carried),
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, which nothing has influenced."""
        state = model.initial_state(batch_size)
        own = derivative.weights(model.cell).items()
        none = {name: weight.new_zeros(batch_size, *weight.shape) for name, weight in own}
        return Carried(state, torch.zeros_like(derivative.join(state)), none, generator)

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Σₜ (qₜ · s̃ₜ) θ̃ₜ."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        return online.follow(model.at_output, window, carry, partial(step, model.cell), credit)


def step(cell: Cell, x: Tensor, carry: Carried) -> Carried:
    """Return state and factors after one step."""
    random = signs(carry.moved, carry.generator)  # ν
    after, pushed, pulled = derivatives(cell, x, carry, random)
    old = torch.sqrt((norm(carry.weights) + TINY) / (length(pushed) + TINY))  # ρ₀ (B,)
    new = torch.sqrt((norm(pulled) + TINY) / (length(random) + TINY))  # ρ₁ (B,)
    weights = {
        name: along(1 / old, carry.weights[name]) + along(1 / new, pulled[name]) for name in pulled
    }
    moved = along(old, pushed) + along(new, random)
    return Carried(after, moved, weights, carry.generator)


def derivatives(
    cell: Cell, x: Tensor, carry: Carried, random: Tensor
) -> tuple[State, Tensor, Gradients]:
    """Return the state after one step, J s̃ and νᵀ I; by autograd where units mix."""
    if isinstance(cell, GatedCell):
        hidden = carry.state[0]
        a, u = cell.from_input(x), cell.from_hidden(hidden)
        local = cell.local(a, u, carry.state)
        pushed = gated.push(cell, local, derivative.split(cell, carry.moved))
        rows = torch.stack(derivative.split(cell, random), 1).unsqueeze(-1)  # (B, p, H, 1)
        pulled = trace.named(cell, (rows * trace.immediate(cell, local, x, hidden)).sum(1))
        return cell.gate(a, u, carry.state), derivative.join(pushed), pulled
    before = derivative.join(carry.state)
    after, pushed = derivative.push(cell, x, before, carry.moved)
    pulled, _ = derivative.pull(cell, x, before, random)
    return derivative.split(cell, after), pushed, pulled


def credit(carry: Carried, error: Tensor) -> Gradients:
    """Return Σ_b (q · s̃) θ̃."""
    share = (error * carry.moved[:, : error.shape[1]]).sum(1)  # (B,)
    return {name: torch.tensordot(share, w, 1) for name, w in carry.weights.items()}


def norm(grads: Gradients) -> Tensor:
    """Return each sequence's norm over all parameters, (B,)."""
    return length(torch.cat([grad.flatten(1) for grad in grads.values()], 1))


def length(vectors: Tensor) -> Tensor:
    """Return each sequence's norm, (B,)."""
    return torch.linalg.vector_norm(vectors, dim=1)


def along(scale: Tensor, value: Tensor) -> Tensor:
    """Return every sequence's value times its own scale."""
    return scale.view(-1, *[1] * (value.ndim - 1)) * value
