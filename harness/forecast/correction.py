"""Learns by how much estimates were off, from the widest company of a trial to its own point.

An estimate is multiplied by exp of a mean of the logs of truth / estimate. Each narrower company's
mean starts from the wider one's, which counts as one observation, so that a single odd trial moves
its own kind and hardly the rest.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Hashable, Sequence

REMEMBERED = 60  # the latest errors say how good the next estimate will be
SURE = 1.645  # standard deviations: nine of ten lie within


class Corrections:
    """Factors for estimates, and how far off the corrected ones still were."""

    def __init__(self, prior: float) -> None:
        """Begin with a spread of the logs of truth / estimate that is taken for granted."""
        self._sums: dict[Hashable, float] = defaultdict(float)
        self._counts: dict[Hashable, int] = defaultdict(int)
        self._prior = prior
        self._errors: deque[float] = deque(maxlen=REMEMBERED)

    def factor(self, levels: Sequence[Hashable]) -> float:
        """Return what to multiply an estimate by."""
        mean = 0.0
        for level in levels:
            count = self._counts.get(level, 0)
            mean = (self._sums.get(level, 0.0) + mean) / (count + 1)
        return math.exp(mean)

    def learn(self, levels: Sequence[Hashable], estimate: float, truth: float) -> None:
        """Take in what an uncorrected estimate came to."""
        if estimate <= 0 or truth <= 0:
            return
        ratio = math.log(truth / estimate)
        self._errors.append(ratio - math.log(self.factor(levels)))
        for level in levels:
            self._sums[level] += ratio
            self._counts[level] += 1

    @property
    def spread(self) -> float:
        """Return the relative error that nine of ten corrected estimates stay below.

        The prior counts as two errors; each of the others was made before its truth was known.
        """
        squares = 2 * self._prior**2 + math.fsum(error**2 for error in self._errors)
        return math.expm1(SURE * math.sqrt(squares / (2 + len(self._errors))))
