"""Affine recurrences sₜ = Aₜ sₜ₋₁ + bₜ over all of time at once, by an associative scan.

Maps compose: (A₂, b₂) ∘ (A₁, b₁) = (A₂ A₁, A₂ b₁ + b₂). Neighbours are composed, the recurrence of
half the length that is left is solved in the same way, and the states between are filled in: T − 1
compositions in all, 2 log₂ T of them one after another. Autograd differentiates it.

Source: Blelloch (1990), Prefix sums and their applications.
"""

from __future__ import annotations

import torch
from jaxtyping import Inexact
from torch import Tensor

Numbers = Inexact[Tensor, "..."]  # real or complex


def affine_scan(matrices: Numbers, offsets: Numbers, initial: Numbers) -> Numbers:
    """Return every sₜ = Aₜ sₜ₋₁ + bₜ, time first, where the state before the first is `initial`.

    Offsets are (T, ..., S) and `initial` (..., S). Matrices are (T, ..., S, S), or (T, ..., S)
    where they are diagonal and only their diagonals are given.
    """
    diagonal = _is_diagonal(matrices, offsets)
    first = _apply(matrices[0], initial, diagonal) + offsets[0]
    return _solve(matrices, torch.cat([first.unsqueeze(0), offsets[1:]]), diagonal)


def affine_scan_back(matrices: Numbers, offsets: Numbers, final: Numbers) -> Numbers:
    """Return every sₜ = Aₜ sₜ₊₁ + bₜ, time first, where the state after the last is `final`.

    Shapes are those of `affine_scan`.
    """
    return affine_scan(matrices.flip(0), offsets.flip(0), final).flip(0)


def _is_diagonal(matrices: Tensor, offsets: Tensor) -> bool:
    if matrices.shape == offsets.shape:
        return True
    if matrices.shape == (*offsets.shape, offsets.shape[-1]):
        return False
    given = f"matrices {tuple(matrices.shape)} beside offsets {tuple(offsets.shape)}"
    raise ValueError(f"affine scan: {given}; they are (..., S) or (..., S, S) beside (..., S)")


def _solve(matrices: Tensor, offsets: Tensor, diagonal: bool) -> Tensor:
    """Return the states of a recurrence that begins from zero; the first matrix is not used."""
    length = len(offsets)
    if length == 1:
        return offsets
    even, odd = matrices[: length - 1 : 2], matrices[1::2]
    composed = odd * even if diagonal else odd @ even
    joined = _apply(odd, offsets[: length - 1 : 2], diagonal) + offsets[1::2]
    at_odd = _solve(composed, joined, diagonal)
    # s₀ is known; each later even state follows the odd one before it.
    later = len(offsets[2::2])
    filled = _apply(matrices[2::2], at_odd[:later], diagonal) + offsets[2::2]
    at_even = torch.cat([offsets[:1], filled])
    woven = torch.stack([at_even[: len(at_odd)], at_odd], 1).flatten(0, 1)
    return torch.cat([woven, at_even[len(at_odd) :]])


def _apply(matrices: Tensor, states: Tensor, diagonal: bool) -> Tensor:
    return matrices * states if diagonal else (matrices @ states.unsqueeze(-1)).squeeze(-1)
