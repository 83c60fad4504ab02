"""A small model in float64 of every cell there is, for identities that hold whatever the cell."""

import torch
from rigs import REGISTRY

from harness.check.probe import HIDDEN_SIZE, INPUT_SIZE, Probe
from harness.model import Model
from harness.trial import Choice

EVERY_CELL = [plugin.name for plugin in REGISTRY.of("cells")]


def model_with(cell: str) -> Model:
    torch.manual_seed(1)
    built = REGISTRY.build("cells", Choice(cell), INPUT_SIZE, HIDDEN_SIZE)
    return Model(built, Probe()).double()
