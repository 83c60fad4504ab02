"""What a task promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from harness.contract.data import Batch

Split = Literal["train", "valid"]


@dataclass(frozen=True, slots=True)
class Draw:
    """Which batch of a task is wanted; the same draw gives the same batch."""

    length: int  # T
    batch_size: int  # B
    index: int = 0  # batches of a stateful task continue one another in this order
    split: Split = "train"


@dataclass(frozen=True, slots=True)
class Trivial:
    """The score of the best predictor that learns nothing, and how it is computed."""

    score: float
    formula: str


class Task(ABC):
    """What is to be learned. A plugin is a dataclass whose fields are its parameters."""

    packs: ClassVar[tuple[str, ...]] = ()  # data packs that it reads (harness/data.py)
    stateful: ClassVar[bool] = False  # batch `index + 1` continues batch `index`
    score_name: ClassVar[str]  # with its unit, as an axis label: "bits per character"
    score_better: ClassVar[Literal["lower", "higher"]]

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Return I."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Return O."""

    def refuses(self, draw: Draw) -> str | None:
        """Return why such a batch cannot be had, in one sentence; None if it can."""
        return None

    @abstractmethod
    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        """Return the batch on the CPU in float32; `generator` is its only source of chance."""

    @abstractmethod
    def loss(
        self, output: Float[Tensor, "*N O"], target: Shaped[Tensor, "*M"]
    ) -> Float[Tensor, "*N"]:
        """Return each prediction's loss."""

    @abstractmethod
    def score(self, outputs: Float[Tensor, "T B O"], batch: Batch) -> float:
        """Return the figure people know this task by."""

    @abstractmethod
    def trivial(self, length: int) -> Trivial:
        """Return the score that needs no learning, for sequences of `length` steps."""

    @abstractmethod
    def solved(self, length: int) -> float:
        """Return the score from which on the task counts as solved."""
