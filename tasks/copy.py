"""Copy memory: ten symbols, a long silence, a signal, and the ten symbols again.

A sequence of L = T + 20 steps has a delay of T:

    input   10 symbols of 1..8, T - 1 blanks (0), the signal (9), 10 blanks
    target  T + 10 blanks, the 10 symbols

Inputs are one-hot over 10, outputs are 9 classes, the loss is the cross entropy over all L steps.

Source: Arjovsky, Shah and Bengio (2016), Unitary evolution recurrent neural networks, after
Hochreiter and Schmidhuber (1997). Its trivial baseline is 10 ln 8 / (T + 20) nats a step.
The mean over all steps hides everything at a large T: read it against the baseline.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import cross_entropy

from harness.contract import Batch, Draw, Task, Trivial

RECALLED = 10  # symbols to remember
ALPHABET = 8  # symbols 1..8; 0 is the blank
SIGNAL = ALPHABET + 1
SHORTEST = 2 * RECALLED + 1  # a delay of one step


@dataclass
class Copy(Task):
    """Ten symbols to be held over a delay."""

    score_name = "cross entropy (nats per step)"
    score_better = "lower"

    @property
    def input_size(self) -> int:
        """Return the blank, the symbols and the signal."""
        return ALPHABET + 2

    @property
    def output_size(self) -> int:
        """Return the blank and the symbols."""
        return ALPHABET + 1

    def refuses(self, draw: Draw) -> str | None:
        """Return why there is no room for a delay."""
        if draw.length < SHORTEST:
            return (
                f"copy says {RECALLED} symbols twice and waits between: it needs at least "
                f"{SHORTEST} steps, not {draw.length}"
            )
        return None

    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        """Return fresh sequences; every step weighs the same."""
        size = (draw.length, draw.batch_size)
        symbols = torch.randint(1, SIGNAL, (RECALLED, draw.batch_size), generator=generator)
        inputs, targets = torch.zeros(size, dtype=torch.long), torch.zeros(size, dtype=torch.long)
        inputs[:RECALLED] = symbols
        inputs[-RECALLED - 1] = SIGNAL
        targets[-RECALLED:] = symbols
        weights = torch.full(size, 1 / inputs.numel())
        return Batch(torch.eye(self.input_size)[inputs], targets, weights)

    def loss(
        self, output: Float[Tensor, "*N O"], target: Shaped[Tensor, "*N"]
    ) -> Float[Tensor, "*N"]:
        """Return the cross entropy in nats."""
        flat = cross_entropy(
            output.reshape(-1, output.shape[-1]), target.flatten(), reduction="none"
        )
        return flat.reshape(target.shape)

    def score(self, outputs: Float[Tensor, "T B O"], batch: Batch) -> float:
        """Return the mean cross entropy of a step."""
        return self.loss(outputs, batch.targets).mean().item()

    def trivial(self, length: int) -> Trivial:
        """Return what a guess without memory scores: blanks for certain, then 1 of 8."""
        nats = RECALLED * math.log(ALPHABET) / length
        return Trivial(nats, "blanks, then a guess without memory: 10 ln 8 / (T + 20), T the delay")

    def solved(self, length: int) -> float:
        """Return a tenth of the baseline: ln 8 / 10 = 0.21 nats for each symbol to recall."""
        return self.trivial(length).score / 10
