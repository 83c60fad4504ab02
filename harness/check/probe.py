"""A small regression on noise, on which no mistake cancels by accident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from harness.contract import Batch, Draw, Task, Trivial

INPUT_SIZE, HIDDEN_SIZE, OUTPUT_SIZE = 3, 5, 2


@dataclass
class Probe(Task):
    """A regression on noise with uneven weights: nothing cancels by accident."""

    score_name: ClassVar[str] = "mean squared error"
    score_better: ClassVar[Literal["lower", "higher"]] = "lower"

    @property
    def input_size(self) -> int:
        """Return I."""
        return INPUT_SIZE

    @property
    def output_size(self) -> int:
        """Return O."""
        return OUTPUT_SIZE

    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        """Return noise with uneven weights."""
        sizes = (draw.length, draw.batch_size)
        weights = torch.rand(sizes, generator=generator)
        inputs = torch.randn(*sizes, INPUT_SIZE, generator=generator)
        targets = torch.randn(*sizes, OUTPUT_SIZE, generator=generator)
        return Batch(inputs, targets, weights / weights.sum())

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the squared errors."""
        return (output - target).square().mean(-1)

    def score(self, outputs: Tensor, batch: Batch) -> float:
        """Return their mean."""
        return float(self.loss(outputs, batch.targets).mean())

    def trivial(self, length: int) -> Trivial:
        """Return the variance of the targets, of which zero explains nothing."""
        return Trivial(1.0, "Var(target) = 1")

    def solved(self, length: int) -> float:
        """Return 0: noise cannot be learned."""
        return 0.0
