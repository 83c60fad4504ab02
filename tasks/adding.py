"""Adding: the sum of the two marked numbers of a sequence, asked for at its end.

Channel 0 is uniform on [0, 1]; channel 1 marks one step of each half with a 1. The loss is the
squared error at the last step; no other step weighs anything.

Source: Arjovsky, Shah and Bengio (2016), Unitary evolution recurrent neural networks, after
Hochreiter and Schmidhuber (1997). Four incompatible variants go by this name: this is theirs.
Its trivial baseline is Var(U₁ + U₂) = 1/6; the 0.1767 that is often quoted is wrong.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from harness.contract import Batch, Draw, Task, Trivial

SOLVED = 1 / 60  # a tenth of the baseline; who remembers one number only stays at 1/12


@dataclass
class Adding(Task):
    """Two marked numbers, far apart, and their sum."""

    score_name = "mean squared error"
    score_better = "lower"

    @property
    def input_size(self) -> int:
        """Return the value and the mark."""
        return 2

    @property
    def output_size(self) -> int:
        """Return the sum."""
        return 1

    def refuses(self, draw: Draw) -> str | None:
        """Return why a sequence without two halves has no two numbers to mark."""
        if draw.length < 2:
            return f"adding marks two numbers: it needs at least 2 steps, not {draw.length}"
        return None

    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        """Return fresh sequences; every step's target is the sum, only the last one weighs."""
        length, batch_size = draw.length, draw.batch_size
        values = torch.rand(length, batch_size, generator=generator)  # (T, B)
        early = torch.randint(length // 2, (batch_size,), generator=generator)
        late = torch.randint(length // 2, length, (batch_size,), generator=generator)
        marks, weights = torch.zeros(length, batch_size), torch.zeros(length, batch_size)
        sequences = torch.arange(batch_size)
        marks[early, sequences] = 1.0
        marks[late, sequences] = 1.0
        weights[-1] = 1 / batch_size
        sums = (values * marks).sum(0)
        return Batch(torch.stack([values, marks], dim=-1), sums.repeat(length, 1), weights)

    def loss(
        self, output: Float[Tensor, "*N 1"], target: Shaped[Tensor, "*N"]
    ) -> Float[Tensor, "*N"]:
        """Return the squared error."""
        return (output[..., 0] - target).square()

    def score(self, outputs: Float[Tensor, "T B 1"], batch: Batch) -> float:
        """Return the mean squared error of the last step."""
        return self.loss(outputs[-1], batch.targets[-1]).mean().item()

    def trivial(self, length: int) -> Trivial:
        """Return what always saying 1 scores: the variance of the sum of two uniforms."""
        return Trivial(1 / 6, "always 1: Var(U1 + U2) = 1/6")

    def solved(self, length: int) -> float:
        """Return a tenth of the baseline."""
        return SOLVED
