"""No gradient, in a known time with known noise: a benchmark of verdicts can be held to it.

Source: MEASURING's simulation: 1 % from process to process, 0.5 % within.
Time: `share` of 0.3 ms a step, whatever the machine does meanwhile. Memory: nothing.
It cannot train anything.
"""

import functools
import math
import random
import time
from dataclasses import dataclass, field

import torch

from harness.contract import Batch, Carry, Gradient, GradientMethod, Hook
from harness.model import Model

STEP_SECONDS = 3e-4
PROCESS, WITHIN = 0.01, 0.005  # standard deviations of the logarithm
_NOISE = random.SystemRandom()


@functools.cache
def of_process() -> float:
    """Return how far off this process is for as long as it lives."""
    return _NOISE.gauss(0.0, PROCESS)


@dataclass
class Metronome(GradientMethod):
    """Watches the clock from a sequence's beginning until its time is up."""

    share: float = 1.0
    _began: float = field(default=0.0, init=False)

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carry:
        """Return the initial state."""
        self._began = time.perf_counter()
        return super().begin(model, batch_size, generator)

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return zeros."""
        noise = math.exp(of_process() + _NOISE.gauss(0.0, WITHIN))
        end = self._began + STEP_SECONDS * len(window) * self.share * noise
        zeros = {name: torch.zeros_like(param) for name, param in model.named_parameters()}
        while time.perf_counter() < end:
            pass
        return Gradient(torch.zeros(()), zeros), carry
