"""The backward pass of gated cells in its parts, from the derivatives of their units.

Leading sizes are free: one step (B, ...) or all steps at once (T, B, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.contract import GatedCell, Gradients, Hook, Local, Shape, State


@dataclass(frozen=True, slots=True)
class Behind:
    """What dL/ds of a step becomes on its way through the units, before the maps."""

    a: Float[Tensor, "*N kH"]  # dL/da
    u: Float[Tensor, "*N kH"] | None  # dL/du; None: the step has no map of h
    state: State  # what reaches the old state past the map of h
    own: Float[Tensor, "*N n H"] | None  # dL/dθ of the units' own parameters


def through_units(local: Local, message: State) -> Behind:
    """Return what comes out behind the units when dL/ds, (..., H) a part, goes in."""
    state = _through(message, local.by_state)
    own = None if local.by_own is None else _through(message, local.by_own)
    a = _through(message, local.by_input).flatten(-2)
    if local.by_hidden is None:
        u = None
    elif local.by_hidden is local.by_input:
        u = a
    else:
        u = _through(message, local.by_hidden).flatten(-2)
    return Behind(a, u, state.unbind(-2), own)


def through_steps(
    cell: GatedCell,
    local: Local,
    errors: Float[Tensor, "T B H"],
    message: State,
    hook: Hook | None,
    start: int,
) -> tuple[list[Behind], State]:
    """Return what each step makes of dL/ds, first step first, and dL/ds before them all.

    `message` is dL/ds after the last step, without the steps' own losses: dL/dh of those is
    `errors`. `start` is the first step's index, for the hook.
    """
    steps = []
    for t in reversed(range(len(errors))):
        message = (message[0] + errors[t], *message[1:])
        if hook is not None:
            message = hook(start + t, message)
        steps.append(through_units(_at(local, t), message))
        message = through_map(cell, steps[-1])
    return steps[::-1], message


def stacked(steps: list[Behind]) -> Behind:
    """Return every step's outcome as one, time first; the states' part has served."""
    a = torch.stack([step.a for step in steps])
    u = a if all(step.u is step.a for step in steps) else stacked_known([step.u for step in steps])
    return Behind(a, u, (), stacked_known([step.own for step in steps]))


def stacked_known(values: Sequence[Tensor | None]) -> Tensor | None:
    """Return all steps' values as one tensor, time first; None where the cell has none."""
    known = [value for value in values if value is not None]
    return torch.stack(known) if known else None


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


def push(cell: GatedCell, local: Local, tangent: State) -> State:
    """Return Jₜ · tangent, for a tangent of every part of the old state."""
    moved = (local.by_state * torch.stack(tangent, -2).unsqueeze(-3)).sum(-2)  # (..., p, H)
    if cell.hidden_map is not None and local.by_hidden is not None:
        weight = cell.get_parameter(cell.hidden_map.weight)
        by_block = (tangent[0] @ weight.T).view(*tangent[0].shape[:-1], 1, cell.gates, -1)
        moved = moved + (local.by_hidden * by_block).sum(-2)
    return moved.unbind(-2)


def jacobian(cell: GatedCell, local: Local) -> Float[Tensor, "*N S S"]:
    """Return Jₜ = ∂sₜ/∂sₜ₋₁, all parts joined."""
    parts = torch.diag_embed(local.by_state)  # (..., p, q, H, H)
    if cell.hidden_map is not None and local.by_hidden is not None:
        weight = cell.get_parameter(cell.hidden_map.weight).view(cell.gates, cell.hidden_size, -1)
        through = torch.einsum("...pki,kij->...pij", local.by_hidden, weight)
        parts = torch.cat([parts[..., :1, :, :] + through.unsqueeze(-3), parts[..., 1:, :, :]], -3)
    return parts.movedim(-2, -3).flatten(-4, -3).flatten(-2)


def jacobian_flops(shape: Shape) -> float:
    """Return the FLOPs of `jacobian` for one step of one sequence: one block is no product."""
    if not shape.mixing or shape.gates == 1:
        return 0.0
    return 2.0 * shape.parts * shape.gates * shape.hidden_size**2


def _through(message: State, factors: Tensor) -> Tensor:
    first, *rest = (part.unsqueeze(-2) for part in message)  # against (..., p, k, H)
    summed = first * factors[..., 0, :, :]  # (..., k, H)
    for p, part in enumerate(rest, 1):
        summed = torch.addcmul(summed, part, factors[..., p, :, :])
    return summed


def _at(local: Local, t: int) -> Local:
    by_input = local.by_input[t]
    by_hidden = None if local.by_hidden is None else local.by_hidden[t]
    shared = local.by_hidden is local.by_input  # what the maps share stays shared
    own = None if local.by_own is None else local.by_own[t]
    return Local(by_input, by_input if shared else by_hidden, local.by_state[t], own)


def _affine_gradients(weight: str, bias: str | None, out: Tensor, into: Tensor) -> Gradients:
    out, into = out.flatten(0, -2), into.flatten(0, -2)
    found = {f"cell.{weight}": out.T @ into}
    return found if bias is None else {**found, f"cell.{bias}": out.sum(0)}
