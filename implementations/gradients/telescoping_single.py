"""Randomised telescoping by a single sample: one difference of two truncations, weighed for all.

g = Δ_N / P(N) with Δₙ = Gₙ − Gₙ₋₁, the gradient by chunks of Hₙ steps less that by chunks half as
long (G₀ = 0): full BPTT's on average.

Source: Beatson and Adams (2019), Efficient optimization of loops and limits with randomized
telescoping sums; P(N) falls by `ratio` a step, as the memory of Hₙ rises by 2.
Time: two passes, or one where N = 1. Memory: O(H_N), random.
It cannot be calm: what all other differences hold is missing from every draw. Nor can it use a
hook: no single message travels back.
"""

from dataclasses import dataclass

import torch

from harness.contract import Batch, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape, State
from harness.model import Model
from implementations.gradients import _telescoping

Carried = tuple[State, torch.Generator]


@dataclass
class TelescopingSingle(GradientMethod):
    """Chunks of `shortest` · 2ⁿ steps less those half as long, n drawn anew for every sequence."""

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
        return _telescoping.cost(shape, 2 - chances[0], dict(zip(found, chances, strict=True)))

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state and the source of chance."""
        return model.initial_state(batch_size), generator

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Δ_N / P(N)."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        state, generator = carry
        found = _telescoping.horizons(self.shortest, len(window))
        chances = self.chances(len(found))
        drawn = _telescoping.draw(chances, generator)
        weight = 1 / chances[drawn - 1]
        terms = zip(found[max(0, drawn - 2) : drawn], [-weight, weight][-drawn:], strict=True)
        gradient, state = _telescoping.weighted(model, window, state, dict(terms))
        return gradient, (state, generator)

    def chances(self, levels: int) -> list[float]:
        """Return P(N = n) for n = 1 to `levels`."""
        shares = [self.ratio**n for n in range(levels)]
        return [share / sum(shares) for share in shares]
