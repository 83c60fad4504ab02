"""What is true of a gradient method that `bptt check` does not know: its definition, in slow code.

A method that is neither exact nor cut by lags has a definition of its own, such as autograd with a
path cut. Each sentence here holds of a plugin's module, given as it is or with a piece changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from problems import CELLS, batch_of, gradient_by, model_of, relative_error

from harness.contract import Batch, GatedCell, Gradients
from harness.model import Model

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


IDENTITIES = {
    one.sentence: one
    for one in (
        Identity(
            "gradients/eprop",
            "is autograd with h detached inside the map",
            eprop_is_autograd_with_a_path_cut,
        ),
    )
}
