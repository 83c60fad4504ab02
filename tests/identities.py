"""What is true of a gradient method that `bptt check` does not know: its definition, in slow code.

A method that is neither exact nor cut by lags has a definition of its own, such as autograd with a
path cut. Each sentence here holds of a plugin's module, given as it is or with a piece changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from every_cell import model_with
from problems import CELLS, batch_of, gradient_by, model_of, relative_error
from torch import Tensor
from truncation_identities import TRUNCATION

from harness import derivative
from harness.contract import Batch, GatedCell, Gradients
from harness.model import Model
from harness.oracle import exact_gradient

ROUNDING = 1e-13  # float64 over a dozen steps; a dropped term is above 1e-4


@dataclass(frozen=True, slots=True)
class Identity:
    """A sentence about a plugin, and the function that asserts it of the plugin's module."""

    plugin: str  # "gradients/eprop"
    sentence: str
    holds: Callable[[ModuleType], None]


def cut(model: Model, batch: Batch) -> Gradients:
    """Return autograd's gradient with h detached where it enters the map."""
    cell = model.cell
    assert isinstance(cell, GatedCell)
    state, outputs = model.initial_state(batch.inputs.shape[1]), []
    for x in batch.inputs:
        state = cell.gate(cell.from_input(x), cell.from_hidden(state[0].detach()), state)
        outputs.append(state[0])
    return model.gradient_of(model.loss(torch.stack(outputs), batch.targets, batch.weights)).params


def eprop_is_autograd_with_a_path_cut(module: ModuleType) -> None:
    for cell in CELLS:
        model, batch = model_of(cell), batch_of(9)
        found = gradient_by(module.EProp(), model, batch)
        assert relative_error(found, cut(model, batch)) < ROUNDING


def masked(model: Model, batch: Batch, kept: Tensor) -> Gradients:
    """Return RTRL's gradient by autograd of every step, the influence masked after each.

    `kept` (H, H) says whose weights' influence, column, is kept on which unit's state, row.
    """
    cell, size = model.cell, model.cell.hidden_size
    state = derivative.join(model.initial_state(batch.inputs.shape[1]))
    influence: Gradients = {}
    total: Gradients = {}
    for x, target, weight in zip(batch.inputs, batch.targets, batch.weights, strict=True):
        jacobian = derivative.jacobian(cell, x, state)
        for name, now in derivative.influence(cell, x, state).items():
            before = influence.get(name, torch.zeros_like(now))
            moved = torch.einsum("bij,bj...->bi...", jacobian, before) + now
            on, of = torch.arange(moved.shape[1]) % size, torch.arange(moved.shape[2]) % size
            mask = kept[on][:, of].view(1, *moved.shape[1:3], *[1] * (moved.ndim - 3))
            influence[name] = moved * mask
        with torch.no_grad():
            state = derivative.join(model.advance(x, derivative.split(cell, state)))
        output, error = model.at_output(state[:, :size], target, weight)
        here = {n: torch.tensordot(error, m[:, :size], 2) for n, m in influence.items()}
        here |= output.params
        total = {name: total.get(name, 0) + grad for name, grad in here.items()}
    return total


def snap_1_is_rtrl_masked_to_the_own_unit(module: ModuleType) -> None:
    for cell in CELLS:
        model, batch = model_of(cell), batch_of(9)
        found = gradient_by(module.SnAp1(), model, batch)
        assert relative_error(found, masked(model, batch, torch.eye(5))) < ROUNDING


def quasi_deer_with_a_diagonal_adjoint_is_snap_1(module: ModuleType) -> None:
    for cell in CELLS:
        model, batch = model_of(cell), batch_of(9)
        found = gradient_by(module.QuasiDEERDiagonal(), model, batch)
        # Its states are right to 32 roundings, not to one.
        assert relative_error(found, masked(model, batch, torch.eye(5))) < 10 * ROUNDING


def linear_scan_is_full_bptt(module: ModuleType) -> None:
    for cell in ("lru", "mingru", "minlstm"):
        model, batch = model_with(cell), batch_of(9)
        found = gradient_by(module.LinearScan(), model, batch)
        assert relative_error(found, exact_gradient(model, batch).params) < ROUNDING


IDENTITIES = {
    one.sentence: one
    for one in (
        Identity(
            "gradients/eprop",
            "is autograd with h detached inside the map",
            eprop_is_autograd_with_a_path_cut,
        ),
        Identity(
            "gradients/snap1",
            "is RTRL with the influence on other units masked",
            snap_1_is_rtrl_masked_to_the_own_unit,
        ),
        Identity(
            "gradients/quasi_deer_diagonal",
            "is SnAp-1's gradient",
            quasi_deer_with_a_diagonal_adjoint_is_snap_1,
        ),
        Identity(
            "gradients/linear_scan",
            "is full BPTT where the cell is linear",
            linear_scan_is_full_bptt,
        ),
        *(
            Identity(plugin, sentence, holds)
            for plugin, sentences in TRUNCATION.items()
            for sentence, holds in sentences.items()
        ),
    )
}
