"""Kronecker-factored real-time recurrent learning: the influence as one random Kronecker product.

M ≈ uᵀ ⊗ A with u ← p₀ u + c p₁ f and A ← J A / p₀ + c D / p₁, where Iₜ = fᵀ ⊗ D and c is a random
sign: the products that do not belong together cancel on average, E[uᵀ ⊗ A] = M. p₀ and p₁ balance
the norms, which changes the variance and not the mean.

Source: Mujika, Meier and Steger (2018), Approximating real-time recurrent learning with random
Kronecker factors. Theirs has two signs, of which only the product matters.
Time: O(S² R) a step and sequence for R = kH rows. Memory: O(S R) a sequence, flat in T.
It cannot be precise: its noise grows with the sequence, though less than UORO's. Where a and u do
not act through their sum, as in a GRU, it has 2k blocks of rows to carry instead of k.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from harness import gated, online, trace
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
from implementations.gradients import _kronecker
from implementations.gradients._chance import signs

TINY = 1e-30  # keeps the balance defined where a norm is 0; any balance is unbiased


@dataclass(frozen=True, slots=True)
class Carried:
    """The state, and the two factors of its influence, each sequence's own."""

    state: State
    features: Tensor  # u (B, J)
    rows: Tensor  # A (B, S, R)
    generator: torch.Generator


@dataclass
class KFRTRL(GradientMethod):
    """A Kronecker estimate of rank one."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact for a single step, which is a Kronecker product, and unbiased beyond."""
        return "exact" if length == 1 else "unbiased"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell whose units cannot be told apart."""
        return trace.refusal(model.cell)

    def cost(self, shape: Shape) -> Cost:
        """Return J A and the Jacobian of every step, the credit, and the two factors twice."""
        rows, features = _kronecker.sizes_of(shape)
        state = shape.parts * shape.hidden_size
        credit = 2.0 * rows * (shape.hidden_size + features)
        steps = shape.length * shape.batch_size
        carried = shape.batch_size * (features + state * rows)
        return Cost(
            flops=shape.forward_flops
            + 2 * shape.readout_flops
            + steps * (2.0 * state * state * rows + gated.jacobian_flops(shape) + credit),
            kept_bytes=online.kept_bytes(shape, carried),
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, which nothing has influenced."""
        state = model.initial_state(batch_size)
        rows, features = _kronecker.sizes(model.cell)
        joined = model.cell.parts * model.cell.hidden_size
        new = state[0].new_zeros
        return Carried(state, new(batch_size, features), new(batch_size, joined, rows), generator)

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Σₜ uₜ ⊗ (qₜ Aₜ)."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        cell = model.cell
        return online.follow(
            model.at_output, window, carry, partial(step, cell), partial(credit, cell)
        )


def step(cell: GatedCell, x: Tensor, carry: Carried) -> Carried:
    """Return state and factors after one step."""
    a, u = cell.from_input(x), cell.from_hidden(carry.state[0])
    local = cell.local(a, u, carry.state)
    features = _kronecker.features(cell, x, carry.state[0])  # f
    rows = _kronecker.by_rows(cell, local)  # D
    moved = torch.bmm(gated.jacobian(cell, local), carry.rows)  # J A
    old = balance(moved.flatten(1), carry.features)  # p₀ (B, 1)
    new = balance(rows.flatten(1), features)  # p₁ (B, 1)
    new = signs(new, carry.generator) * new  # c p₁; and c / p₁ = 1 / (c p₁)
    return Carried(
        cell.gate(a, u, carry.state),
        old * carry.features + new * features,
        moved / old.unsqueeze(2) + rows / new.unsqueeze(2),
        carry.generator,
    )


def credit(cell: GatedCell, carry: Carried, error: Tensor) -> Gradients:
    """Return Σ_b u ⊗ (q A)."""
    by_rows = torch.bmm(error.unsqueeze(1), carry.rows[:, : cell.hidden_size]).squeeze(1)  # (B, R)
    return _kronecker.named(cell, by_rows.T @ carry.features)


def balance(rows: Tensor, features: Tensor) -> Tensor:
    """Return √(‖rows‖/‖features‖) of every sequence, (B, 1)."""
    norms = [
        torch.linalg.vector_norm(factor, dim=1, keepdim=True) + TINY for factor in (rows, features)
    ]
    return torch.sqrt(norms[0] / norms[1])
