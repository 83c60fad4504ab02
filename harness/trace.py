"""Eligibility traces of gated cells: how a unit's state depends on that unit's own weights.

A trace holds, for every row of a map's weight with its bias, ∂(parts of its unit)/∂(that row), as
far as the dependence runs inside the unit: E ← D E + (∂s/∂a) ⊗ [x, 1], D = ∂s_unit/∂s_unit. O(P)
numbers a sequence, whatever the length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.contract import Affine, GatedCell, Gradients, Local, State


@dataclass(frozen=True, slots=True)
class Trace:
    """The traces of both maps and of the units' own parameters; p parts, k blocks."""

    by_input: Float[Tensor, "B p k H i"]  # i: the entries of x and 1
    by_hidden: Float[Tensor, "B p k H j"] | None  # j: the entries of h and 1
    by_own: Float[Tensor, "B p n H"] | None


def zero(cell: GatedCell, state: State) -> Trace:
    """Return the trace before the first step."""
    batch, units = state[0].shape
    sizes = (batch, cell.parts, cell.gates, units)
    recurrent = cell.hidden_map is not None
    return Trace(
        state[0].new_zeros(*sizes, cell.input_size + 1),
        state[0].new_zeros(*sizes, units + 1) if recurrent else None,
        state[0].new_zeros(batch, cell.parts, len(cell.own), units) if cell.own else None,
    )


def within_units(cell: GatedCell, local: Local) -> Float[Tensor, "B p q H"]:
    """Return D, the diagonal of each block of the step's Jacobian, the map of h included."""
    if cell.hidden_map is None or local.by_hidden is None:
        return local.by_state
    weight = cell.get_parameter(cell.hidden_map.weight).view(cell.gates, cell.hidden_size, -1)
    looped = (local.by_hidden * weight.diagonal(dim1=1, dim2=2)).sum(-2)  # (B, p, H)
    first, rest = local.by_state[..., :1, :], local.by_state[..., 1:, :]
    return torch.cat([first + looped.unsqueeze(-2), rest], -2)


def advance(
    trace: Trace, local: Local, decay: Float[Tensor, "B p q H"], x: Tensor, hidden: Tensor
) -> Trace:
    """Return the trace one step later; `hidden` is h before the step, `decay` is D."""
    by_input = _moved(decay, trace.by_input) + _outer(local.by_input, x)
    by_hidden = by_own = None
    if trace.by_hidden is not None and local.by_hidden is not None:
        by_hidden = _moved(decay, trace.by_hidden) + _outer(local.by_hidden, hidden)
    if trace.by_own is not None and local.by_own is not None:
        by_own = torch.einsum("bpqh,bqnh->bpnh", decay, trace.by_own) + local.by_own
    return Trace(by_input, by_hidden, by_own)


def credit(cell: GatedCell, trace: Trace, error: Float[Tensor, "B H"]) -> Gradients:
    """Return Σ_b dL/dh · ∂h/∂θ along the traces, named as the model names parameters."""
    found = _rows(cell.input_map, torch.einsum("bh,bkhi->khi", error, trace.by_input[:, 0]))
    if cell.hidden_map is not None and trace.by_hidden is not None:
        summed = torch.einsum("bh,bkhi->khi", error, trace.by_hidden[:, 0])
        found |= _rows(cell.hidden_map, summed)
    if trace.by_own is not None:
        own = torch.einsum("bh,bnh->nh", error, trace.by_own[:, 0])
        found |= {f"cell.{name}": grad for name, grad in zip(cell.own, own, strict=True)}
    return found


def _moved(decay: Tensor, trace: Tensor) -> Tensor:
    return torch.einsum("bpqh,bqkhi->bpkhi", decay, trace)


def _outer(by_map: Tensor, into: Tensor) -> Tensor:
    """Return (∂s/∂a) ⊗ [x, 1]."""
    entries = torch.cat([into, torch.ones_like(into[:, :1])], 1)
    return torch.einsum("bpkh,bi->bpkhi", by_map, entries)


def _rows(affine: Affine, summed: Tensor) -> Gradients:
    """Return the gradient of a map's weight, and of its bias, from (k, H, entries and 1)."""
    rows = summed.flatten(0, 1)
    found = {f"cell.{affine.weight}": rows[:, :-1]}
    return found if affine.bias is None else {**found, f"cell.{affine.bias}": rows[:, -1]}
