"""Small problems in float64 that the tests of several rooms share."""

import torch
from torch import Tensor

from harness.check.probe import Probe
from harness.contract import Batch, Cell, Clip, Draw, GradientMethod, Gradients
from harness.drive import Drive
from harness.model import Model
from implementations.cells.elman import Elman
from implementations.cells.gru import GRU
from implementations.cells.lstm import LSTM

CELLS: dict[str, type[Cell]] = {"elman": Elman, "gru": GRU, "lstm": LSTM}
RAGGED = [(1, 1), (2, 3), (7, 2), (19, 2)]  # (T, B)


def model_of(cell: str = "lstm", hidden_size: int = 5) -> Model:
    torch.manual_seed(1)
    return Model(CELLS[cell](3, hidden_size), Probe()).double()


def batch_of(length: int, batch_size: int = 2, seed: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    batch = Probe().batch(Draw(length, batch_size), generator)
    return batch.to(torch.device("cpu"), torch.float64)


def gradient_by(
    method: GradientMethod, model: Model, batch: Batch, clips: tuple[Clip, ...] = ()
) -> Gradients:
    """Return what the optimizer would get for the whole sequence."""
    out: list[Gradients] = []
    drive = Drive(model, method, clips, observe=lambda _, clipped: out.append(clipped))
    drive.sequence(batch, drive.begin(batch.inputs.shape[1], torch.Generator()))
    return out[0]


def flat(grads: Gradients) -> Tensor:
    return torch.cat([grads[name].flatten() for name in sorted(grads)])


def relative_error(got: Gradients, want: Gradients) -> float:
    return float((flat(got) - flat(want)).norm() / flat(want).norm())
