"""What a ratio of times says, once the differences that a node shows of itself are allowed for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from harness.stats.interval import CONFIDENCE, Interval, Series, logs
from harness.stats.location import centres

MARGIN = 0.01  # a difference under 1 % matters to nobody (MEASURING)
NORMAL_LOSS = math.pi / 3  # of Hodges-Lehmann: its variance over the mean's, for normal noise

Verdict = Literal["faster", "slower", "equivalent", "inconclusive", "too few blocks"]


@dataclass(frozen=True, slots=True)
class Band:
    """How far apart a node shows one implementation that was entered twice (A/A)."""

    width: float  # relative; 0: no more than the intervals allow for already
    pairs: int  # points at which it was entered twice, over 2 blocks or more


def verdict(interval: Interval, margin: float = MARGIN) -> Verdict:
    """Return what a ratio of times says about `new`.

    Differences within the margin, from 1 / (1 + margin) to 1 + margin, count as none. An interval
    wholly inside it is `equivalent`; one wholly outside is `faster` or `slower`, so that a tiny
    but certain difference, or one that the node shows between a thing and itself, is neither; one
    that crosses an end is `inconclusive`.
    """
    if interval.confidence < CONFIDENCE:
        return "too few blocks"
    least, most = 1 / (1 + margin), 1 + margin
    if interval.high < least:
        return "faster"
    if interval.low > most:
        return "slower"
    if least <= interval.low and interval.high <= most:
        return "equivalent"
    return "inconclusive"


def noise_band(ratios: Sequence[Series]) -> Band | None:
    """Return the node's A/A band from copy / original at every point, one series of blocks each.

    What changes from block to block is in a ratio's interval already. What an interval cannot see
    is a difference that stays: where code and data lie in memory, which process came first. The
    band is the 95 % prediction limit of such a difference at one more point: Student's t times
    the root of (mean squared estimate - the part of it that the blocks' own scatter explains).

    Simulated (8 blocks, process noise 0.3 to 3 %, differences that stay of 0 to 3 %), `verdict`
    is wrong of a pair of equals in at most 5 % (6.5 % from one pair), where the margin of 1 %
    alone is wrong in up to 75 % and the largest |estimate| of k pairs in 1 / (k + 1). Where
    nothing stays, it costs up to 4 % of the findings of a 3 % slowdown from 4 pairs on, and a
    quarter of them or more from one pair. None: no point has 2 blocks.

    Raises:
        ValueError: a ratio is not positive and finite.
    """
    known = [logs("ratios", series) for series in ratios if len(series) > 1]
    if not known:
        return None
    estimates = [centres(series[:, np.newaxis]).estimate[0] for series in known]
    explained = [NORMAL_LOSS * series.var(ddof=1) / len(series) for series in known]
    excess = max(float(np.mean(np.square(estimates)) - np.mean(explained)), 0.0)
    reach = float(special.stdtrit(len(known), (1 + CONFIDENCE) / 2)) * math.sqrt(excess)
    return Band(math.expm1(reach), len(known))


def margin_of(band: Band | None) -> float:
    """Return what counts as no difference on a node: 1 %, or its A/A band where that is larger."""
    return max(MARGIN, band.width) if band else MARGIN
