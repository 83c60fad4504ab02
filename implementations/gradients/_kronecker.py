"""A step's influence on a gated cell as one Kronecker product, Iₜ = D ⊗ fᵀ.

f = [x; h; 1] is what the rows of the maps are multiplied with, D = ∂s/∂(what the rows give). There
are k blocks of H rows where a and u act through their sum, 2k where they do not (a GRU's reset gate
comes between), and one block for each parameter of the units' own, which multiplies the 1. Where a
row uses a part of f only, the rest of its products belongs to no parameter and is never read.
"""

import torch
from torch import Tensor

from harness import trace
from harness.contract import Affine, GatedCell, Gradients, Local, Shape


def features(cell: GatedCell, x: Tensor, hidden: Tensor) -> Tensor:
    """Return f, (B, J), `hidden` being h before the step; without h where units do not see it."""
    seen = [x] if cell.hidden_map is None else [x, hidden]
    return torch.cat([*seen, torch.ones_like(x[:, :1])], 1)


def by_rows(cell: GatedCell, local: Local) -> Tensor:
    """Return D, (B, S, R), for R rows."""
    found = [local.by_input]
    if local.by_hidden is not None:
        assert not cell.summed or local.by_hidden is local.by_input, "the cell says they are one"
        found += [] if cell.summed else [local.by_hidden]
    if local.by_own is not None:
        found.append(local.by_own)
    spread = torch.diag_embed(torch.cat(found, -2))  # (B, p, blocks, H, H)
    return spread.movedim(-2, -3).flatten(-2).flatten(1, 2)


def sizes(cell: GatedCell) -> tuple[int, int]:
    """Return R and J."""
    apart = cell.hidden_map is not None and not cell.summed
    blocks = cell.gates * (1 + apart) + len(cell.own)
    seen = cell.input_size + cell.hidden_size * (cell.hidden_map is not None)
    return blocks * cell.hidden_size, seen + 1


def sizes_of(shape: Shape) -> tuple[int, int]:
    """Return R and J of a cell of that shape."""
    blocks = shape.gates * (1 if shape.summed else 2) + shape.own
    return blocks * shape.hidden_size, shape.input_size + shape.hidden_size * shape.mixing + 1


def named(cell: GatedCell, found: Tensor) -> Gradients:
    """Return the gradient of f's products with all rows, (R, J), as the model names parameters."""
    maps = cell.gates * cell.hidden_size
    grads = _of_map(cell.input_map, found[:maps], 0, cell.input_size)
    if cell.hidden_map is not None:
        by_hidden = found[:maps] if cell.summed else found[maps : 2 * maps]
        grads |= _of_map(cell.hidden_map, by_hidden, cell.input_size, cell.hidden_size)
    if cell.own:
        own = found[-len(cell.own) * cell.hidden_size :, -1].view(len(cell.own), -1)
        grads |= {f"cell.{name}": grad for name, grad in zip(cell.own, own, strict=True)}
    return grads


def _of_map(affine: Affine, found: Tensor, first: int, size: int) -> Gradients:
    seen = found[:, first : first + size]
    return trace.rows(affine, seen if affine.bias is None else torch.cat([seen, found[:, -1:]], 1))
