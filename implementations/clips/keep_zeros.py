"""Leave every weight that is 0 at 0: the recurrent weights that begin sparse stay sparse.

g ← g ⊙ [w ≠ 0] for every matrix of the cell; biases and the readout move freely.

Source: fixed sparse masks as in Menick et al. (2021), Practical real time recurrent learning with a
sparse approximation.
Cost: one pass over the P parameters.
It cannot choose which weights are worth keeping: those that begin at 0 do not learn.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from harness.contract import Clip, Gradients


@dataclass
class KeepZeros(Clip):
    """The zeros of the cell's matrices, kept."""

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradients, 0 where a matrix of the cell is."""
        return {
            name: grad.masked_fill(params[name] == 0, 0.0)
            if in_cell(name) and grad.ndim == 2
            else grad
            for name, grad in grads.items()
        }


def in_cell(name: str) -> bool:
    """Return whether the model's parameter of that name is the cell's."""
    return name.startswith("cell.")
