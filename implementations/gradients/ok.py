"""Optimal Kronecker-sum approximation: the influence as the sum of r random Kronecker products.

A step moves the r products M ≈ Σᵢ uᵢᵀ ⊗ Aᵢ to J Aᵢ and adds one, Iₜ = fᵀ ⊗ D. The r + 1 are brought
back to r with the least variance that any unbiased way has: from their singular values, the large
ones are kept as they are, and the rest is mixed into one term fewer with random signs.

Source: Benzing, Gauy, Mujika, Martinsson and Steger (2019), Optimal Kronecker-sum approximation of
real time recurrent learning.
Time: O(r S² R) a step and sequence for R = kH rows, and r² (S R + J) for the reduction, J = I + H.
Memory: O(r S R) a sequence, flat in T.
It cannot be exact once more than r steps lie behind, unless J ≤ r.
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


@dataclass(frozen=True, slots=True)
class Carried:
    """The state, and the r pairs of factors of its influence, each sequence's own."""

    state: State
    features: Tensor  # uᵢ (B, r, J)
    rows: Tensor  # Aᵢ (B, r, S, R)
    generator: torch.Generator


@dataclass
class OK(GradientMethod):
    """A Kronecker-sum estimate of rank `rank`."""

    rank: int = 1

    hooked = False

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, not {self.rank}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where `rank` products hold all steps or all of f, and unbiased beyond."""
        known = isinstance(cell, GatedCell) and _kronecker.sizes(cell)[1] <= self.rank
        return "exact" if known or length <= self.rank else "unbiased"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell whose units cannot be told apart."""
        return trace.refusal(model.cell)

    def cost(self, shape: Shape) -> Cost:
        """Return J Aᵢ, the Jacobian, the reduction's products, the credit, and the factors twice.

        The factorisations of the reduction are no matrix products; they are of order r² (S R + J).
        """
        rows, features = _kronecker.sizes_of(shape)
        state, r = shape.parts * shape.hidden_size, self.rank
        pair = features + state * rows  # numbers in the two factors of one product
        few = min(r + 1, features)
        reduction = 2.0 * r * few * pair + 2.0 * few * (r + 1) * (few + r)
        credit = 2.0 * r * rows * (shape.hidden_size + features)
        return Cost(
            flops=shape.forward_flops
            + 2 * shape.readout_flops
            + shape.length
            * shape.batch_size
            * (2.0 * r * state * state * rows + gated.jacobian_flops(shape) + reduction + credit),
            kept_bytes=online.kept_bytes(shape, shape.batch_size * r * pair),
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, which nothing has influenced."""
        state = model.initial_state(batch_size)
        rows, features = _kronecker.sizes(model.cell)
        joined = model.cell.parts * model.cell.hidden_size
        none = state[0].new_zeros(batch_size, self.rank, features)
        return Carried(state, none, none.new_zeros(batch_size, self.rank, joined, rows), generator)

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Σₜ Σᵢ uᵢₜ ⊗ (qₜ Aᵢₜ)."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        cell = model.cell
        return online.follow(
            model.at_output, window, carry, partial(step, cell), partial(credit, cell)
        )


def step(cell: GatedCell, x: Tensor, carry: Carried) -> Carried:
    """Return state and factors after one step."""
    a, u = cell.from_input(x), cell.from_hidden(carry.state[0])
    local = cell.local(a, u, carry.state)
    moved = gated.jacobian(cell, local).unsqueeze(1) @ carry.rows  # J Aᵢ
    rows = torch.cat([moved, _kronecker.by_rows(cell, local).unsqueeze(1)], 1)
    new = _kronecker.features(cell, x, carry.state[0]).unsqueeze(1)
    features = torch.cat([carry.features, new], 1)  # (B, r + 1, J)
    features, flat = reduced(features, rows.flatten(2), carry.generator)
    after = cell.gate(a, u, carry.state)
    return Carried(after, features, flat.view_as(carry.rows), carry.generator)


def credit(cell: GatedCell, carry: Carried, error: Tensor) -> Gradients:
    """Return Σ_b Σᵢ uᵢ ⊗ (q Aᵢ)."""
    seen = carry.rows[:, :, : cell.hidden_size]  # (B, r, H, R)
    by_rows = (error[:, None, None] @ seen).squeeze(2)  # (B, r, R)
    return _kronecker.named(cell, by_rows.flatten(0, 1).T @ carry.features.flatten(0, 1))


def reduced(left: Tensor, right: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return one pair of vectors fewer, (B, r, ...), with the same Σᵢ leftᵢ ⊗ rightᵢ on average."""
    (left_base, left_in_base), (right_base, right_in_base) = qr(left.mT), qr(right.mT)
    found = torch.linalg.svd(left_in_base @ right_in_base.mT, full_matrices=False)
    values = padded(found.S, left.shape[1])  # σ (B, r + 1)
    mix = mixing(values, signs(values, generator))
    left_vectors, right_vectors = padded(found.U, left.shape[1]), padded(found.Vh.mT, left.shape[1])
    return (left_base @ (left_vectors @ mix)).mT, (right_base @ (right_vectors @ mix)).mT


def mixing(values: Tensor, coins: Tensor) -> Tensor:
    """Return Z, (B, r + 1, r), with E[Z Zᵀ] = diag(σ) and the least variance of Z Zᵀ.

    The m largest σ are kept, m being the least for which (r − m) σₘ ≤ Σ_{i≥m} σᵢ = s. The k + 1
    others are mixed into k columns of √(s/k) diag(sign) X, X an orthonormal basis of what is
    orthogonal to the unit vector zᵢ = √(1 − k σᵢ / s).
    """
    rank = values.shape[1] - 1
    rounding = values.shape[1] * torch.finfo(values.dtype).eps * values[:, :1]
    values = torch.where(values > rounding, values, 0)  # a direction of rounding would be mixed in
    rest = values.flip(1).cumsum(1).flip(1)  # Σ_{j≥i} σⱼ
    places = torch.arange(rank, -1, -1, dtype=values.dtype, device=values.device)  # r − i
    mixed = (places * values <= rest).cumsum(1) > 0  # (B, r + 1), the last two always
    fewer = mixed.sum(1, keepdim=True) - 1  # k
    total = (values * mixed).sum(1, keepdim=True)  # s
    share = fewer * values / total.clamp(min=torch.finfo(values.dtype).tiny)
    apart = torch.where(mixed, (1 - share).clamp(min=0).sqrt(), 0)  # z
    mirror = apart.clone()  # the reflection that takes z to the last axis, and the others to X
    mirror[:, -1] += 1
    outer = mirror.unsqueeze(2) * mirror.unsqueeze(1)
    reflection = torch.eye(rank + 1).to(values) - 2 * outer / mirror.square().sum(1)[:, None, None]
    scale = torch.where(mixed, total / fewer, values).sqrt()[:, :rank]
    chance = torch.where(mixed, coins, 1)
    return chance.unsqueeze(2) * reflection[:, :, :rank] * scale.unsqueeze(1)


def qr(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return an orthonormal base of the columns, and the columns in it."""
    base, coefficients = torch.linalg.qr(vectors)
    return base, coefficients


def padded(columns: Tensor, number: int) -> Tensor:
    """Return as many columns as `number`, zeros behind: where J has fewer directions than terms."""
    return torch.nn.functional.pad(columns, (0, number - columns.shape[-1]))
