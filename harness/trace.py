"""Eligibility traces of gated cells: how a unit's state depends on that unit's own weights.

A unit's own weights are the columns of a trace: k blocks of its row of W_x (with its bias), k of
its row of W_h, and its own parameters. E = ∂(parts of the unit)/∂(its columns), as far as the
dependence runs inside the unit: E ← D E + Iₜ. O(P) numbers a sequence, whatever the length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.contract import Affine, Cell, GatedCell, Gradients, Local, Shape, State

Decay = Callable[[GatedCell, Local], Tensor]  # D, (B, p, q, H)


@dataclass(frozen=True, slots=True)
class Carried:
    """The state, and how it depends on the weights."""

    state: State
    trace: Float[Tensor, "B p H C"]


def refusal(cell: Cell) -> str | None:
    """Return why a cell has no such trace, in one sentence; None: it has."""
    if isinstance(cell, GatedCell):
        return None
    return f"{type(cell).__name__} does not work unit by unit, so it has no trace a unit"


def alone(cell: Cell) -> bool:
    """Return whether units do not see one another, so that a trace misses nothing."""
    return isinstance(cell, GatedCell) and cell.hidden_map is None


def numbers(shape: Shape) -> int:
    """Return how many numbers the traces of all sequences hold: B p times the cell's weights."""
    return shape.batch_size * shape.parts * cell_weights(shape)


def cell_weights(shape: Shape) -> int:
    """Return how many parameters the cell has, the readout's apart."""
    return shape.parameters - shape.output_size * (shape.hidden_size + 1)


def credit_flops(shape: Shape) -> float:
    """Return the FLOPs of the credit along the trace: its update is no matrix product."""
    return 2.0 * shape.length * shape.batch_size * cell_weights(shape)


def begin(cell: GatedCell, state: State) -> Carried:
    """Return the carry before the first step, which nothing has influenced."""
    sizes = (len(state[0]), cell.parts, cell.hidden_size, columns(cell))
    return Carried(state, state[0].new_zeros(sizes))


def columns(cell: GatedCell) -> int:
    """Return C, how many weights a unit has."""
    return sum(_widths(cell))


def step(cell: GatedCell, decay: Decay, x: Float[Tensor, "B I"], carry: Carried) -> Carried:
    """Return state and trace one step later: E ← D E + Iₜ."""
    hidden = carry.state[0]
    a, u = cell.from_input(x), cell.from_hidden(hidden)
    local = cell.local(a, u, carry.state)
    traced = immediate(cell, local, x, hidden)
    for q, factor in enumerate(decay(cell, local).unbind(2)):
        traced = torch.addcmul(traced, factor.unsqueeze(-1), carry.trace[:, q : q + 1])
    return Carried(cell.gate(a, u, carry.state), traced)


def credit(cell: GatedCell, carry: Carried, error: Float[Tensor, "B H"]) -> Gradients:
    """Return Σ_b dL/dh · ∂h/∂θ along the trace."""
    return named(cell, torch.einsum("bh,bhc->hc", error, carry.trace[:, 0]))


def within_units(cell: GatedCell, local: Local) -> Float[Tensor, "*N p q H"]:
    """Return D, the diagonal of each block of the step's Jacobian, the map of h included."""
    if cell.hidden_map is None or local.by_hidden is None:
        return local.by_state
    weight = cell.get_parameter(cell.hidden_map.weight).view(cell.gates, cell.hidden_size, -1)
    looped = (local.by_hidden * weight.diagonal(dim1=1, dim2=2)).sum(-2)  # (B, p, H)
    first, rest = local.by_state[..., :1, :], local.by_state[..., 1:, :]
    return torch.cat([first + looped.unsqueeze(-2), rest], -2)


def immediate(
    cell: GatedCell, local: Local, x: Float[Tensor, "B I"], hidden: Float[Tensor, "B H"]
) -> Float[Tensor, "B p H C"]:
    """Return Iₜ = ∂s/∂(the unit's columns) with the old state, whose output is `hidden`, fixed."""
    found = [_outer(local.by_input, entries(cell.input_map, x))]
    if cell.hidden_map is not None and local.by_hidden is not None:
        found.append(_outer(local.by_hidden, entries(cell.hidden_map, hidden)))
    if local.by_own is not None:
        found.append(local.by_own.mT)
    return torch.cat(found, -1)


def influence(
    cell: GatedCell, local: Local, x: Float[Tensor, "B I"], hidden: Float[Tensor, "B H"]
) -> Gradients:
    """Return Iₜ of the whole state, zeros included: (B, S, ...) for each parameter of the cell."""
    spread = torch.diag_embed(immediate(cell, local, x, hidden).mT)  # (B, p, C, H, H)
    return named(cell, spread.movedim(2, -1).flatten(1, 2))


def entries(affine: Affine, into: Float[Tensor, "B i"]) -> Float[Tensor, "B j"]:
    """Return what a map's rows are multiplied with: x or h, and 1 where there is a bias."""
    return into if affine.bias is None else torch.cat([into, torch.ones_like(into[:, :1])], 1)


def named(cell: GatedCell, found: Float[Tensor, "*N H C"]) -> Gradients:
    """Return what stands in the columns of all units, named as the model names parameters."""
    by_input, *others = torch.split(found, _widths(cell), -1)
    grads = rows(cell.input_map, _blocks(cell, by_input))
    if cell.hidden_map is not None:
        grads |= rows(cell.hidden_map, _blocks(cell, others[0]))
    if cell.own:
        own = zip(cell.own, others[-1].unbind(-1), strict=True)
        grads |= {f"cell.{name}": grad for name, grad in own}
    return grads


def rows(affine: Affine, found: Float[Tensor, "*N kH j"]) -> Gradients:
    """Return the gradient of a map's weight, and of its bias, from that of its rows."""
    if affine.bias is None:
        return {f"cell.{affine.weight}": found}
    return {f"cell.{affine.weight}": found[..., :-1], f"cell.{affine.bias}": found[..., -1]}


def _widths(cell: GatedCell) -> list[int]:
    """Return how many columns of a unit belong to W_x, to W_h and to the unit itself."""
    maps = [(cell.input_map, cell.input_size), (cell.hidden_map, cell.hidden_size)]
    known = [(affine, size) for affine, size in maps if affine is not None]
    widths = [cell.gates * (size + (affine.bias is not None)) for affine, size in known]
    return [*widths, len(cell.own)] if cell.own else widths


def _outer(by_map: Float[Tensor, "B p k H"], into: Float[Tensor, "B j"]) -> Tensor:
    """Return (∂s/∂a) ⊗ [x, 1], (B, p, H, k j)."""
    return (by_map.mT.unsqueeze(-1) * into[:, None, None, None]).flatten(-2)


def _blocks(cell: GatedCell, columns: Float[Tensor, "*N H kj"]) -> Float[Tensor, "*N kH j"]:
    """Return a unit's columns as rows of the map, block after block."""
    blocks = columns.reshape(*columns.shape[:-1], cell.gates, -1)  # (..., H, k, j)
    return blocks.movedim(-2, -3).flatten(-3, -2)
