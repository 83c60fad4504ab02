"""What is true of a gradient method that `bptt check` does not know: its definition, in slow code.

A method that is neither exact nor cut by lags has a definition of its own, such as autograd with a
path cut. Each sentence here holds of a plugin's module, given as it is or with a piece changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from every_cell import model_with
from online_identities import ONLINE, masked
from problems import CELLS, batch_of, gradient_by, model_of, relative_error
from truncation_identities import TRUNCATION

from harness.oracle import exact_gradient

ROUNDING = 1e-13  # float64 over a dozen steps; a dropped term is above 1e-4


@dataclass(frozen=True, slots=True)
class Identity:
    """A sentence about a plugin, and the function that asserts it of the plugin's module."""

    plugin: str  # "gradients/eprop"
    sentence: str
    holds: Callable[[ModuleType], None]


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
            for plugin, sentences in (*ONLINE.items(), *TRUNCATION.items())
            for sentence, holds in sentences.items()
        ),
    )
}
