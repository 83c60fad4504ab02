"""What the methods share that are parallel in time: many steps of a gated cell at once, by a scan.

A state's change and an adjoint both follow an affine recurrence, whose matrices are the steps'
Jacobians: the whole ones, or what of them stays within the units. Of a cell whose units do not see
one another, that is all there is.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from harness import gated, scan, trace
from harness.contract import Batch, Cell, GatedCell, Gradient, Local, Shape, State
from harness.drive import add
from harness.model import Model

JACOBIAN_BYTES = 2**28  # 256 MiB; a scan makes three times as much of it for a while

# (cell, derivatives, offsets (T, B, p, H), initial (B, p, H)) -> every dₜ = Jₜ dₜ₋₁ + offsetₜ
Follow = Callable[[GatedCell, Local, Tensor, Tensor], Tensor]
# (cell, derivatives, dL/dh of the steps' own losses (T, B, H), dL/ds from the steps after them
# (B, p, H)) -> every δₜ = dL/dsₜ (T, B, p, H), and what goes on to the steps before
Adjoints = Callable[[GatedCell, Local, Tensor, Tensor], tuple[Tensor, Tensor]]


def refusal(cell: Cell) -> str | None:
    """Return why a cell's Jacobians cannot be had for many steps at once; None: they can."""
    if isinstance(cell, GatedCell):
        return None
    return f"{type(cell).__name__} does not work unit by unit between two affine maps"


def refuse_no_room(jacobian_bytes: int) -> None:
    """Refuse a room that holds nothing.

    Raises:
        ValueError: it is below 1.
    """
    if jacobian_bytes < 1:
        raise ValueError(f"jacobian_bytes must be at least 1, not {jacobian_bytes}")


def follow(cell: GatedCell, local: Local, offsets: Tensor, initial: Tensor) -> Tensor:
    """Return every dₜ = Jₜ dₜ₋₁ + offsetₜ."""
    if cell.hidden_map is None:
        return follow_within(cell, local, offsets, initial)
    jacobian = gated.jacobian(cell, local)  # (T, B, S, S)
    return scan.affine_scan(jacobian, offsets.flatten(2), initial.flatten(1)).view_as(offsets)


def follow_within(cell: GatedCell, local: Local, offsets: Tensor, initial: Tensor) -> Tensor:
    """Return every dₜ = Dₜ dₜ₋₁ + offsetₜ, D what of J stays within the units."""
    return scan.unit_scan(trace.within_units(cell, local), offsets, initial)


def adjoints(
    cell: GatedCell, local: Local, errors: Tensor, message: Tensor
) -> tuple[Tensor, Tensor]:
    """Return every δₜ = qₜ + Jₜ₊₁ᵀ δₜ₊₁, and what the first step sends on.

    What a step sends on, Jₜᵀ (qₜ + what came to it), is the affine recurrence.
    """
    if cell.hidden_map is None:
        return adjoints_within(cell, local, errors, message)
    back = gated.jacobian(cell, local).mT  # (T, B, S, S)
    own = (back[..., : errors.shape[-1]] @ errors.unsqueeze(-1)).squeeze(-1)  # Jₜᵀ qₜ
    sent = scan.affine_scan_back(back, own, message.flatten(1))
    return _received(errors, sent.view(*errors.shape[:2], cell.parts, -1), message)


def adjoints_within(
    cell: GatedCell, local: Local, errors: Tensor, message: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the same with D for J: no unit sends anything to another."""
    back = trace.within_units(cell, local).transpose(-3, -2)  # (T, B, q, p, H)
    sent = scan.unit_scan_back(back, back[..., 0, :] * errors.unsqueeze(-2), message)
    return _received(errors, sent, message)


def states_with_room(carry: State, length: int) -> State:
    """Return (T + 1, B, H) for each part of the state, all of them as the first one is."""
    return tuple(part.expand(length + 1, *part.shape).clone() for part in carry)


def gradient_along(
    model: Model, window: Batch, states: State, back: Adjoints, chunk: int
) -> tuple[Gradient, State]:
    """Return the gradient along known states, (T + 1, B, H) a part, and a copy of the last one.

    `chunk` steps are taken at once, the last ones first.
    """
    cell = model.cell
    assert isinstance(cell, GatedCell), "supports says so"
    output, errors = model.at_output(states[0][1:], window.targets, window.weights)
    message = torch.stack([torch.zeros_like(part[0]) for part in states], -2)  # (B, p, H)
    total: Gradient | None = None
    for first in reversed(range(0, len(window), chunk)):
        steps = window.window(first, min(first + chunk, len(window)))
        here = slice(first, first + len(steps))
        before = tuple(part[here] for part in states)
        local = cell.local(cell.from_input(steps.inputs), cell.from_hidden(before[0]), before)
        adjoint, message = back(cell, local, errors[here], message)
        behind = gated.through_units(local, adjoint.unbind(-2))
        found = gated.parameter_gradients(cell, steps.inputs, before[0], behind)
        total = add(total, Gradient(output.loss, found))
    assert total is not None, "a window has at least one step"
    last = tuple(part[-1].clone() for part in states)
    return Gradient(output.loss, {**total.params, **output.params}), last


def chunk_for(jacobian_bytes: int, cell: Cell, carry: State, length: int) -> int:
    """Return how many steps' whole Jacobians fit; at least one."""
    assert isinstance(cell, GatedCell), "supports says so"
    width = 1 if cell.hidden_map is None else cell.hidden_size
    state_bytes = sum(part.nbytes for part in carry)
    return _fitting(jacobian_bytes, state_bytes * cell.parts * width, length)


def chunks(jacobian_bytes: int, shape: Shape) -> list[int]:
    """Return how many steps each chunk of a sequence of this shape takes."""
    width = shape.hidden_size if shape.mixing else 1
    chunk = _fitting(jacobian_bytes, int(shape.state_bytes) * shape.parts * width, shape.length)
    return cut(shape.length, chunk)


def cut(length: int, chunk: int) -> list[int]:
    """Return the lengths of the chunks of a sequence, the last one shorter where it must be."""
    return [min(chunk, length - first) for first in range(0, length, chunk)]


def along_flops(shape: Shape) -> float:
    """Return the products of `gradient_along`, its scan apart: the maps again, and the weights'."""
    back = 2.0 * shape.gates * shape.hidden_size * shape.states * shape.mixing  # dA R, not needed
    return shape.forward_flops + shape.backward_flops - back


def kept_bytes(shape: Shape) -> float:
    """Return what `gradient_along` holds when it begins to go back: the states."""
    beside_output = (shape.parts - 1) * shape.states * shape.item_bytes
    return beside_output + shape.loss_bytes + shape.state_bytes


def jacobian_flops(shape: Shape, length: int) -> float:
    """Return what the whole Jacobians of `length` steps and a scan along them cost."""
    if not shape.mixing:
        return 0.0  # unit by unit, which is no matrix product
    size = shape.parts * shape.hidden_size  # S
    composed, applied = scan.products(length)
    # Σₖ ∂s/∂uₖ W_k; one block is but scaled, row by row.
    built = length * shape.gates * size * shape.hidden_size * (shape.gates > 1)
    return 2.0 * shape.batch_size * (built + composed * size**3 + applied * size**2)


def adjoint_flops(shape: Shape, length: int) -> float:
    """Return the same for adjoints, where each step's own error goes through its Jacobian too."""
    through = length * shape.parts * shape.hidden_size**2 * shape.batch_size * shape.mixing
    return jacobian_flops(shape, length) + 2.0 * through


def _fitting(room: int, one: int, length: int) -> int:
    return max(1, min(length, room // one))


def _received(errors: Tensor, sent: Tensor, message: Tensor) -> tuple[Tensor, Tensor]:
    """Return δ, each step's own error and what the step after it sent, and what the first sent."""
    adjoint = torch.cat([sent[1:], message.unsqueeze(0)])
    adjoint[..., 0, :] += errors
    return adjoint, sent[0]
