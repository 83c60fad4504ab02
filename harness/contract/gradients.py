"""What a gradient method promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from harness.contract.cells import Cell
from harness.contract.cost import Cost, Shape
from harness.contract.data import Batch, Carry, Gradient, Hook

if TYPE_CHECKING:
    from harness.model import Model

Claim = Literal["exact", "unbiased", "biased"]


class GradientMethod(ABC):
    """A way to get the gradient of a sequence's loss, window by window.

    It owns its mathematics and nothing else: weights, data, optimizer, seeds, device and clocks
    belong to the harness. A plugin is a dataclass whose fields are its parameters.
    """

    stride: int | None = None  # steps per window; None: the whole sequence at once
    hooked: ClassVar[bool] = True  # lets a hook see, and change, dL/ds_t
    steady: ClassVar[bool] = True  # needs the same memory whatever is drawn, or the data hold

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return what the gradient of one fresh sequence of `length` steps promises to be.

        Exact: full BPTT's, up to rounding. Unbiased: full BPTT's on average over the generator.
        Biased: neither, by definition. What a stateful task carries over from an earlier sequence
        does not count.
        """
        return "biased"

    def supports(self, model: Model) -> str | None:
        """Return why `model` cannot be trained this way, in one sentence; None if it can."""
        return None

    def cost(self, shape: Shape) -> Cost | None:
        """Return the theory's cost of one sequence; None where no formula is known."""
        return None

    def keeps(self, length: int) -> list[tuple[int, int, int]] | None:
        """Return the terms that a truncated method keeps, by its own definition, as rectangles.

        A rectangle (first, last, back) keeps, for every loss step `first <= s < last`, the
        influence of the parameters used at steps `back <= r <= s`. Together they say which part
        of the exact gradient the method computes. None: not defined by such terms.
        """
        return None

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carry:
        """Return the carry before the first window: by default the zero state."""
        return model.initial_state(batch_size)

    @abstractmethod
    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the window's gradient and the carry for the next window, free of any graph."""
