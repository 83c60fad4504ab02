"""The backward pass of gated cells in its parts, from the derivatives of their units.

Leading sizes are free: one step (B, ...) or all steps at once (T, B, ...).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.contract import GatedCell, Gradients, Local, State


@dataclass(frozen=True, slots=True)
class Behind:
    """What dL/ds of a step becomes on its way through the units, before the maps."""

    a: Float[Tensor, "*N kH"]  # dL/da
    u: Float[Tensor, "*N kH"] | None  # dL/du; None: the step has no map of h
    state: State  # what reaches the old state past the map of h
    own: Float[Tensor, "*N n H"] | None  # dL/dθ of the units' own parameters


def through_units(local: Local, message: State) -> Behind:
    """Return what comes out behind the units when dL/ds, (..., H) a part, goes in."""
    stacked = torch.stack(message, -2)  # (..., p, H)
    by_block = stacked.unsqueeze(-2)  # (..., p, 1, H), against (..., p, k, H)
    state = (by_block * local.by_state).sum(-3)
    own = None if local.by_own is None else (by_block * local.by_own).sum(-3)
    a = (by_block * local.by_input).sum(-3).flatten(-2)
    if local.by_hidden is None:
        u = None
    elif local.by_hidden is local.by_input:
        u = a
    else:
        u = (by_block * local.by_hidden).sum(-3).flatten(-2)
    return Behind(a, u, state.unbind(-2), own)


def through_map(cell: GatedCell, behind: Behind) -> State:
    """Return dL/ds of the old state: past the map of h, and through it."""
    if cell.hidden_map is None or behind.u is None:
        return behind.state
    first, *rest = behind.state
    return first + behind.u @ cell.get_parameter(cell.hidden_map.weight), *rest


def parameter_gradients(
    cell: GatedCell, inputs: Float[Tensor, "*N I"], hidden: Float[Tensor, "*N H"], behind: Behind
) -> Gradients:
    """Return the gradients of the cell's parameters, summed over all leading sizes.

    `hidden` is h before each step. Names are those of the model: "cell." and the cell's own.
    """
    found = _affine_gradients(cell.input_map.weight, cell.input_map.bias, behind.a, inputs)
    if cell.hidden_map is not None and behind.u is not None:
        found |= _affine_gradients(cell.hidden_map.weight, cell.hidden_map.bias, behind.u, hidden)
    if behind.own is not None:
        summed = behind.own.flatten(0, -3).sum(0)  # (n, H)
        found |= dict(zip((f"cell.{name}" for name in cell.own), summed, strict=True))
    return found


def jacobian(cell: GatedCell, local: Local) -> Float[Tensor, "*N S S"]:
    """Return Jₜ = ∂sₜ/∂sₜ₋₁, all parts joined."""
    parts = torch.diag_embed(local.by_state)  # (..., p, q, H, H)
    if cell.hidden_map is not None and local.by_hidden is not None:
        weight = cell.get_parameter(cell.hidden_map.weight).view(cell.gates, cell.hidden_size, -1)
        through = torch.einsum("...pki,kij->...pij", local.by_hidden, weight)
        parts = torch.cat([parts[..., :1, :, :] + through.unsqueeze(-3), parts[..., 1:, :, :]], -3)
    return parts.movedim(-2, -3).flatten(-4, -3).flatten(-2)


def _affine_gradients(weight: str, bias: str | None, out: Tensor, into: Tensor) -> Gradients:
    out, into = out.flatten(0, -2), into.flatten(0, -2)
    found = {f"cell.{weight}": out.T @ into}
    return found if bias is None else {**found, f"cell.{bias}": out.sum(0)}
