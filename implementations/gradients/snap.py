"""SnAp-n: real-time recurrent learning that keeps a weight's influence within n − 1 units' reach.

Mₜ = maskₙ ⊙ (Jₜ Mₜ₋₁ + Iₜ): a weight of unit i is followed to unit u where the recurrent weights
lead from i to u in at most n − 1 steps. On sparse recurrent weights (`density` of a cell, with the
clip `keep_zeros`) that is few units; on dense ones two steps lead everywhere, so that order 2 is
RTRL already. Order 1 is the diagonal alone: `snap1` has it cheaper, without the gathering.

Source: Menick, Elsen, Evci, Osindero, Simonyan and Graves (2021), Practical real time recurrent
learning with a sparse approximation; their mask goes entry by entry, here the parts of one unit's
state and the weights of one unit go together.
Time: O(K² P) a step and sequence, K the most units within reach of one. Memory: O(K P) a sequence,
flat in T.
It cannot credit a weight for what it does beyond its reach. The reach is read from the zeros of W_h
when a sequence begins; what Jₜ does not need is multiplied all the same where units differ in K.
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


@dataclass(frozen=True, slots=True)
class Carried:
    """The state, its influence, and which units a unit's weights are followed to."""

    state: State
    influence: Tensor  # M (B, H, p K, C): of unit i's C columns, on the units in its reach
    units: Tensor  # (H, K): the units in reach of i, itself first
    within: Tensor  # (H, K): 1, or 0 where there are fewer than K


@dataclass
class SnAp(GradientMethod):
    """Sparse RTRL of order `order`."""

    order: int = 2

    hooked = False

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"order must be at least 1, not {self.order}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where nothing is beyond reach: in few steps, or as the weights are now."""
        if length <= self.order:
            return "exact"
        further = (reach(cell, order) for order in (self.order, self.order + 1))
        return "exact" if isinstance(cell, GatedCell) and torch.equal(*further) else "biased"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell whose units cannot be told apart."""
        return trace.refusal(model.cell)

    def cost(self, shape: Shape) -> Cost:
        """Return what dense recurrent weights cost, the most that sparse ones may: K = H."""
        reached = shape.hidden_size if self.order > 1 and shape.mixing else 1
        moved = 2.0 * shape.parts * reached * trace.numbers(shape) * reached
        return Cost(
            flops=shape.forward_flops
            + 2 * shape.readout_flops
            + shape.length * (moved + shape.batch_size * gated.jacobian_flops(shape))
            + reached * trace.credit_flops(shape),
            kept_bytes=online.kept_bytes(shape, reached * trace.numbers(shape))
            + reached
            * shape.hidden_size
            * (8 + shape.item_bytes),  # which units: int64, and 0 or 1
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, which nothing has influenced, and who is in reach of whom."""
        state, cell = model.initial_state(batch_size), model.cell
        units, within = listed(reach(cell, self.order))
        reached = units.shape[1]
        columns = trace.columns(cell)
        none = state[0].new_zeros(batch_size, cell.hidden_size, cell.parts * reached, columns)
        return Carried(state, none, units, within.to(none))

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Σₜ qₜ Mₜ."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        cell = model.cell
        return online.follow(
            model.at_output, window, carry, partial(step, cell), partial(credit, cell)
        )


def reach(cell: GatedCell, order: int) -> Tensor:
    """Return (H, H), of columns' units to rows': in reach by at most `order` − 1 weights of W_h."""
    found = torch.eye(cell.hidden_size, dtype=torch.bool)
    if cell.hidden_map is None:
        return found
    weight = cell.get_parameter(cell.hidden_map.weight).detach().cpu()
    edges = (weight.view(cell.gates, *found.shape) != 0).any(0)
    for _ in range(min(order, cell.hidden_size) - 1):  # no way is longer than H − 1
        found = found | (edges.double() @ found.double() > 0)
    return found


def listed(found: Tensor) -> tuple[Tensor, Tensor]:
    """Return for every unit the units in its reach, itself first, and where that list has ended."""
    most = int(found.sum(0).max())
    order = found.T.double() + torch.eye(len(found))  # itself 2, in reach 1, others 0
    ranked = torch.topk(order, most)
    return ranked.indices, ranked.values > 0


def step(cell: GatedCell, x: Tensor, carry: Carried) -> Carried:
    """Return state and influence after one step: M ← J M + I within reach."""
    hidden = carry.state[0]
    a, u = cell.from_input(x), cell.from_hidden(hidden)
    local = cell.local(a, u, carry.state)
    moved = among(cell, gated.jacobian(cell, local), carry) @ carry.influence
    by_unit = moved.view(*moved.shape[:2], cell.parts, -1, moved.shape[3])  # (B, H, p, K, C)
    by_unit[:, :, :, 0] += trace.immediate(cell, local, x, hidden).transpose(1, 2)
    return Carried(cell.gate(a, u, carry.state), moved, carry.units, carry.within)


def among(cell: GatedCell, jacobian: Tensor, carry: Carried) -> Tensor:
    """Return for every unit J between the units in its reach, (B, H, p K, p K)."""
    batch, units = len(jacobian), cell.hidden_size
    blocks = jacobian.view(batch, cell.parts, units, cell.parts, units).movedim(3, 2)
    rows, columns = carry.units.unsqueeze(2), carry.units.unsqueeze(1)
    found = blocks[..., rows, columns] * carry.within.unsqueeze(2)  # (B, p, q, H, K, K)
    return found.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def credit(cell: GatedCell, carry: Carried, error: Tensor) -> Gradients:
    """Return Σ_b Σ_u q_u M_u."""
    reached = carry.units.shape[1]  # K; the first of them are those of h
    errors = error[:, carry.units]  # (B, H, K); where the list has ended, M is 0
    return trace.named(cell, torch.einsum("bik,bikc->ic", errors, carry.influence[:, :, :reached]))
