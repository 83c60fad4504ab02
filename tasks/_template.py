"""Echo: say the bit that was heard `delay` steps ago.

To make a task of your own, copy this file to `tasks/NAME.py`: its name is the task's name in a
sweep. Say here, in one sentence, what is to be learned, and then what a reader has to know of it.

Source: the authors, year and title that the task comes from.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from harness.contract import Batch, Draw, Task, Trivial


@dataclass  # its fields are the task's parameters: task = { use = "NAME", delay = [3, 30] }
class Echo(Task):
    """A bit a step, to be repeated later."""

    delay: int = 3

    score_name = "accuracy"
    score_better = "higher"

    def __post_init__(self) -> None:
        if self.delay < 1:
            raise ValueError(f"delay must be at least 1 step, not {self.delay}")

    @property
    def input_size(self) -> int:
        """Return I, the numbers that go in at each step."""
        return 1

    @property
    def output_size(self) -> int:
        """Return O, the numbers that come out at each step."""
        return 1

    def refuses(self, draw: Draw) -> str | None:
        """Return why there is no such batch, in one sentence."""
        if draw.length <= self.delay:
            return f"echo needs more than delay = {self.delay} steps, not {draw.length}"
        return None

    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        """Return fresh sequences; `generator` is the only source of chance."""
        bits = torch.randint(2, (draw.length, draw.batch_size), generator=generator).float()
        weights = torch.ones_like(bits)
        weights[: self.delay] = 0.0  # nothing to repeat yet
        return Batch(bits[..., None], bits.roll(self.delay, 0), weights / weights.sum())  # sum: 1

    def loss(
        self, output: Float[Tensor, "*N O"], target: Shaped[Tensor, "*N"]
    ) -> Float[Tensor, "*N"]:
        """Return each prediction's loss, for any number of steps and sequences at once."""
        return binary_cross_entropy_with_logits(output[..., 0], target, reduction="none")

    def score(self, outputs: Float[Tensor, "T B O"], batch: Batch) -> float:
        """Return the figure people know the task by: here, the share of bits that are right."""
        right = (outputs[..., 0] > 0) == (batch.targets > 0.5)
        return (right * batch.weights).sum().item()

    def trivial(self, length: int) -> Trivial:
        """Return the best score without learning, and its formula."""
        return Trivial(0.5, "a fair coin")

    def solved(self, length: int) -> float:
        """Return the score from which on the task counts as solved."""
        return 0.99
