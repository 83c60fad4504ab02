"""Affine recurrences sₜ = Aₜ sₜ₋₁ + bₜ over all of time at once, by an associative scan.

Maps compose: (A₂, b₂) ∘ (A₁, b₁) = (A₂ A₁, A₂ b₁ + b₂). Neighbours are composed, the recurrence of
half the length that is left is solved in the same way, and the states between are filled in: T − 1
compositions in all, 2 log₂ T of them one after another. Autograd differentiates it.

Source: Blelloch (1990), Prefix sums and their applications.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

Numbers = Inexact[Tensor, "..."]  # real or complex


@dataclass(frozen=True, slots=True)
class _Form:
    """How matrices are held: what multiplies two of them, and one of them with a state."""

    compose: Callable[[Tensor, Tensor], Tensor]  # (later, earlier)
    apply: Callable[[Tensor, Tensor], Tensor]  # (matrices, states)


def affine_scan(matrices: Numbers, offsets: Numbers, initial: Numbers) -> Numbers:
    """Return every sₜ = Aₜ sₜ₋₁ + bₜ, time first, where the state before the first is `initial`.

    Offsets are (T, ..., S) and `initial` (..., S). Matrices are (T, ..., S, S), or (T, ..., S)
    where they are diagonal and only their diagonals are given.
    """
    return _scan(_form_of(matrices, offsets), matrices, offsets, initial)


def affine_scan_back(matrices: Numbers, offsets: Numbers, final: Numbers) -> Numbers:
    """Return every sₜ = Aₜ sₜ₊₁ + bₜ, time first, where the state after the last is `final`.

    Shapes are those of `affine_scan`.
    """
    return affine_scan(matrices.flip(0), offsets.flip(0), final).flip(0)


def unit_scan(
    matrices: Float[Tensor, "T *N p p H"],
    offsets: Float[Tensor, "T *N p H"],
    initial: Float[Tensor, "*N p H"],
) -> Float[Tensor, "T *N p H"]:
    """Return every sₜ = Aₜ sₜ₋₁ + bₜ of H units that do not see one another, p numbers each."""
    return _scan(UNITS, matrices, offsets, initial)


def unit_scan_back(
    matrices: Float[Tensor, "T *N p p H"],
    offsets: Float[Tensor, "T *N p H"],
    final: Float[Tensor, "*N p H"],
) -> Float[Tensor, "T *N p H"]:
    """Return every sₜ = Aₜ sₜ₊₁ + bₜ of such units."""
    return unit_scan(matrices.flip(0), offsets.flip(0), final).flip(0)


def products(length: int) -> tuple[int, int]:
    """Return how many products a scan takes: of two matrices, and of a matrix and a state."""
    composed, applied = 0, 1
    while length > 1:
        composed, applied, length = composed + length // 2, applied + length - 1, length // 2
    return composed, applied


def depth(length: int) -> int:
    """Return how many compositions of a scan must follow one another: up the tree, and down."""
    return 1 + 2 * (length.bit_length() - 1)


def _form_of(matrices: Tensor, offsets: Tensor) -> _Form:
    if matrices.shape == offsets.shape:
        return DIAGONAL
    if matrices.shape == (*offsets.shape, offsets.shape[-1]):
        return DENSE
    given = f"matrices {tuple(matrices.shape)} beside offsets {tuple(offsets.shape)}"
    raise ValueError(f"affine scan: {given}; they are (..., S) or (..., S, S) beside (..., S)")


def _scan(form: _Form, matrices: Tensor, offsets: Tensor, initial: Tensor) -> Tensor:
    first = form.apply(matrices[0], initial) + offsets[0]
    return _solve(form, matrices, torch.cat([first.unsqueeze(0), offsets[1:]]))


def _solve(form: _Form, matrices: Tensor, offsets: Tensor) -> Tensor:
    """Return the states of a recurrence that begins from zero; the first matrix is not used."""
    length = len(offsets)
    if length == 1:
        return offsets
    even, odd = matrices[: length - 1 : 2], matrices[1::2]
    joined = form.apply(odd, offsets[: length - 1 : 2]) + offsets[1::2]
    at_odd = _solve(form, form.compose(odd, even), joined)
    # s₀ is known; each later even state follows the odd one before it.
    later = len(offsets[2::2])
    filled = form.apply(matrices[2::2], at_odd[:later]) + offsets[2::2]
    at_even = torch.cat([offsets[:1], filled])
    woven = torch.stack([at_even[: len(at_odd)], at_odd], 1).flatten(0, 1)
    return torch.cat([woven, at_even[len(at_odd) :]])


def _apply_dense(matrices: Tensor, states: Tensor) -> Tensor:
    return (matrices @ states.unsqueeze(-1)).squeeze(-1)


def _compose_units(later: Tensor, earlier: Tensor) -> Tensor:
    """Return the products of the units' own matrices, (..., p, p, H), unit by unit.

    A loop over p, which is 1 or 2: a batched product of matrices so small takes four times as long.
    """
    found = later[..., :1, :] * earlier[..., :1, :, :]
    for r in range(1, later.shape[-2]):
        found = torch.addcmul(found, later[..., r : r + 1, :], earlier[..., r : r + 1, :, :])
    return found


def _apply_units(matrices: Tensor, states: Tensor) -> Tensor:
    found = matrices[..., 0, :] * states[..., :1, :]
    for q in range(1, states.shape[-2]):
        found = torch.addcmul(found, matrices[..., q, :], states[..., q : q + 1, :])
    return found


DIAGONAL = _Form(torch.mul, torch.mul)
DENSE = _Form(torch.matmul, _apply_dense)
UNITS = _Form(_compose_units, _apply_units)
