"""Medians and ratios with intervals that order statistics give, whatever the distribution.

Such intervals come in steps, and few samples cannot reach 95 %: `confidence` is what was attained,
not what was asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.stats.interval import CONFIDENCE, Floats, Interval, Series, finite, logs


@dataclass(frozen=True, slots=True)
class Centres:
    """Hodges-Lehmann estimates of many samples of one size, side by side."""

    estimate: Floats  # (places,)
    low: Floats
    high: Floats
    confidence: float


def median_interval(samples: Series, confidence: float = CONFIDENCE) -> Interval:
    """Return the median between two order statistics; it holds for any distribution.

    The k-th smallest of n lies above the median with probability P(Bin(n, 1/2) < k).

    Raises:
        ValueError: there is no sample, or one is not finite.
    """
    values = np.sort(finite("samples", samples))
    n = len(values)
    tails = np.asarray(special.bdtr(np.arange(n), n, 0.5), dtype=np.float64)
    out, attained = _left_out(tails, n, confidence)
    low, high = float(values[out]), float(values[n - 1 - out])
    return Interval(float(np.median(values)), low, high, attained, n)


def hodges_lehmann(samples: Series, confidence: float = CONFIDENCE) -> Interval:
    """Return the centre of a symmetric distribution: the median of all pairwise means.

    The interval inverts the exact Wilcoxon signed-rank test: it ends at order statistics of the
    n(n+1)/2 means of pairs (Walsh averages). Under 6 samples it is the widest there is.

    Source: Hodges & Lehmann 1963, "Estimates of location based on rank tests".

    Raises:
        ValueError: there is no sample, or one is not finite.
    """
    values = finite("samples", samples)
    found = centres(values[:, np.newaxis], confidence)
    estimate, low, high = (float(end[0]) for end in (found.estimate, found.low, found.high))
    return Interval(estimate, low, high, found.confidence, len(values))


def centres(samples: Floats, confidence: float = CONFIDENCE) -> Centres:
    """Return the Hodges-Lehmann estimate of every column of `samples`.  # (n, places)"""
    n = len(samples)
    first, second = np.triu_indices(n)
    means = np.sort((samples[first] + samples[second]) / 2, axis=0)  # (n(n+1)/2, places)
    out, attained = _left_out(_signed_rank_tails(n), len(means), confidence)
    return Centres(np.median(means, axis=0), means[out], means[len(means) - 1 - out], attained)


def paired_ratio(new: Series, base: Series, confidence: float = CONFIDENCE) -> Interval:
    """Return new / base over the same blocks, by Hodges-Lehmann on the logarithms.

    Pairs share a block, so what slows a whole block down cancels. `new` and `base` are in the
    same order of blocks. Swapping them gives the reciprocal.

    Raises:
        ValueError: the lengths differ, there is no pair, or a value is not positive and finite.
    """
    if len(new) != len(base):
        raise ValueError(f"new has {len(new)} blocks and base {len(base)}; pairs need both")
    return _exponential(hodges_lehmann(logs("new", new) - logs("base", base), confidence))


def unpaired_ratio(new: Series, base: Series, confidence: float = CONFIDENCE) -> Interval:
    """Return new / base of two runs that share no blocks, as wide as not knowing more makes it.

    The ends are those of two Hodges-Lehmann intervals, one a run, each at half the error allowed
    (Bonferroni). Wider than inverting Mann and Whitney's test, but that test holds only where both
    runs scatter alike, and two machines do not. Reaching 95 % takes 7 blocks a run.

    Raises:
        ValueError: there is no value, or one is not positive and finite.
    """
    each = (1 + confidence) / 2
    over, under = (hodges_lehmann(logs(*one), each) for one in (("new", new), ("base", base)))
    attained = max(over.confidence + under.confidence - 1, 0.0)
    estimate = over.estimate - under.estimate
    low, high = over.low - under.high, over.high - under.low
    return _exponential(Interval(estimate, low, high, attained, min(over.count, under.count)))


def _exponential(logarithm: Interval) -> Interval:
    ends = (logarithm.estimate, logarithm.low, logarithm.high)
    estimate, low, high = (math.exp(end) for end in ends)
    return Interval(estimate, low, high, logarithm.confidence, logarithm.count)


def _left_out(tails: Floats, count: int, confidence: float) -> tuple[int, float]:
    """Return how many of `count` ordered numbers each end leaves out, and what that attains.

    `tails[k]` is the chance that the truth lies beyond an end from which k numbers are left out.
    Where none reaches the confidence, the whole range is taken.
    """
    half = (count + 1) // 2
    reaching = int(np.searchsorted(tails[:half], (1 - confidence) / 2, side="right"))
    out = max(reaching - 1, 0)
    return out, max(1 - 2 * float(tails[out]), 0.0)


def _signed_rank_tails(n: int) -> Floats:
    """Return P(V ≤ v) for v = 0 .. n(n+1)/2, V the sum of a random subset of 1 .. n."""
    chance = np.zeros(n * (n + 1) // 2 + 1)
    chance[0] = 1.0
    for rank in range(1, n + 1):
        moved = np.zeros_like(chance)
        moved[rank:] = chance[:-rank]
        chance = (chance + moved) / 2
    return np.cumsum(chance)
