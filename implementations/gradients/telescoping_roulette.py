"""Randomised telescoping by Russian roulette: ever later truncations, until chance says stop.

g = Σₙ≤N Δₙ / P(N ≥ n) with Δₙ = Gₙ − Gₙ₋₁, the gradient by chunks of Hₙ steps less that by chunks
half as long: full BPTT's on average. It is one weighted sum of G₁, ..., G_N.

Source: Beatson and Adams (2019), Efficient optimization of loops and limits with randomized
telescoping sums; P(N ≥ n) falls by `ratio`, as the memory of Hₙ rises by 2.
Time: N passes, 1/(1 − ratio) on average where T is long. Memory: O(H_N), random.
It cannot use a hook: no single message travels back, but one in every pass.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch

from harness.contract import Batch, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape, State
from harness.model import Model
from implementations.gradients import _telescoping

Carried = tuple[State, torch.Generator]


@dataclass
class TelescopingRoulette(GradientMethod):
    """Chunks of `shortest` steps, then twice as long with probability `ratio`, and so on."""

    hooked = False
    steady = False
    shortest: int = 4
    ratio: float = 0.5  # the memory expected of every further horizon is then the same

    def __post_init__(self) -> None:
        _telescoping.check(self.shortest, self.ratio)

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return unbiased; exact where the shortest chunk holds the whole sequence."""
        return "exact" if length <= self.shortest else "unbiased"

    def cost(self, shape: Shape) -> Cost:
        """Return the expected cost over N."""
        found = _telescoping.horizons(self.shortest, shape.length)
        chances = self.chances(len(found))
        passes = sum(n * chance for n, chance in enumerate(chances, 1))
        return _telescoping.cost(shape, passes, dict(zip(found, chances, strict=True)))

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state and the source of chance."""
        return model.initial_state(batch_size), generator

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Σₙ≤N Δₙ / P(N ≥ n)."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        state, generator = carry
        found = _telescoping.horizons(self.shortest, len(window))
        drawn = _telescoping.draw(self.chances(len(found)), generator)
        weights = dict(zip(found, self.weights(drawn), strict=False))
        gradient, state = _telescoping.weighted(model, window, state, weights)
        return gradient, (state, generator)

    def chances(self, levels: int) -> list[float]:
        """Return P(N = n) for n = 1 to `levels`: P(N ≥ n) = ratioⁿ⁻¹, and none goes beyond."""
        reached = [self.ratio**n for n in range(levels)] + [0.0]
        return [here - beyond for here, beyond in pairwise(reached)]

    def weights(self, drawn: int) -> list[float]:
        """Return what G₁, ..., G_N are weighed by: 1/P(N ≥ n) − 1/P(N ≥ n + 1), the last whole."""
        inverse = [self.ratio**-n for n in range(drawn)] + [0.0]
        return [here - beyond for here, beyond in pairwise(inverse)]
