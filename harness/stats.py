"""Medians, paired ratios and growth rates, each with the interval that says how sure it is.

No interval assumes a normal distribution where order statistics will do. Such intervals come in
steps, and few samples cannot reach 95 %: `confidence` is what was attained, not what was asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95  # two-sided; below it there is no verdict
MARGIN = 0.01  # a difference under 1 % matters to nobody (MEASURING)
MIN_LENGTHS = 3  # two points always lie on a line, whatever the truth

Verdict = Literal["faster", "slower", "equivalent", "inconclusive", "too few blocks"]
Floats = NDArray[np.float64]
Series = Sequence[float | int] | NDArray[np.number[Any]]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the range that covers the truth with probability `confidence`."""

    estimate: float
    low: float
    high: float
    confidence: float  # attained: may be above, and for few samples below, what was asked
    count: int  # samples, pairs, lengths or trials it rests on


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """value = scale · length^exponent."""

    exponent: Interval
    scale: float


def median_interval(samples: Series, confidence: float = CONFIDENCE) -> Interval:
    """Return the median between two order statistics; it holds for any distribution.

    The k-th smallest of n lies above the median with probability P(Bin(n, 1/2) < k).

    Raises:
        ValueError: there is no sample, or one is not finite.
    """
    values = np.sort(_finite("samples", samples))
    n = len(values)
    tails = np.asarray(special.bdtr(np.arange(n), n, 0.5), dtype=np.float64)
    return _between_ranks(values, tails, confidence, count=n)


def hodges_lehmann(samples: Series, confidence: float = CONFIDENCE) -> Interval:
    """Return the centre of a symmetric distribution: the median of all pairwise means.

    The interval inverts the exact Wilcoxon signed-rank test: it ends at order statistics of the
    n(n+1)/2 means of pairs (Walsh averages). Under 6 samples it is the widest there is.

    Source: Hodges & Lehmann 1963, "Estimates of location based on rank tests".

    Raises:
        ValueError: there is no sample, or one is not finite.
    """
    values = _finite("samples", samples)
    first, second = np.triu_indices(len(values))
    means = np.sort((values[first] + values[second]) / 2)
    return _between_ranks(means, _signed_rank_tails(len(values)), confidence, len(values))


def paired_ratio(new: Series, base: Series, confidence: float = CONFIDENCE) -> Interval:
    """Return new / base over the same blocks, by Hodges-Lehmann on the logarithms.

    Pairs share a block, so what slows a whole block down cancels. `new` and `base` are in the
    same order of blocks. Swapping them gives the reciprocal.

    Raises:
        ValueError: the lengths differ, there is no pair, or a value is not positive and finite.
    """
    if len(new) != len(base):
        raise ValueError(f"new has {len(new)} blocks and base {len(base)}; pairs need both")
    logs = _logs("new", new) - _logs("base", base)
    centre = hodges_lehmann(logs, confidence)
    estimate, low, high = (math.exp(log) for log in (centre.estimate, centre.low, centre.high))
    return Interval(estimate, low, high, centre.confidence, centre.count)


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


def power_law(lengths: Series, values: Series | Sequence[Series]) -> PowerLaw | None:
    """Return how values grow with length: a straight line through the logarithms.

    `values` is one series, as long as `lengths`, or one such series a block. Over blocks the
    exponent's interval is Hodges-Lehmann's; of a single series it is Student's, from how far the
    points lie off the line. A constant overhead bends the line and lowers the exponent: it holds
    for the range it was fitted over. None: under 3 different lengths.

    Raises:
        ValueError: a series is not as long as `lengths`, or a number is not positive and finite.
    """
    x = _logs("lengths", lengths)
    blocks = [values] if np.ndim(values[0]) == 0 else values
    y = np.stack([_logs("values", block) for block in blocks])  # type: ignore[arg-type]  # by ndim
    if y.shape[1] != len(x):
        raise ValueError(f"values has {y.shape[1]} entries a block for {len(x)} lengths")
    if len(set(x)) < MIN_LENGTHS:
        return None
    centred = x - x.mean()
    slopes = y @ centred / (centred @ centred)
    exponent = hodges_lehmann(slopes) if len(y) > 1 else _slope_interval(centred, y[0], slopes[0])
    scale = math.exp(float(np.median(y.mean(axis=1))) - exponent.estimate * x.mean())
    return PowerLaw(exponent, scale)


def wilson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Return a proportion and its score interval, which stays sound at 0 and at 1.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Raises:
        ValueError: there is no trial, or `successes` is not among 0 to `trials`.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials; allowed: 0 to trials, over 0")
    z = float(special.ndtri((1 + confidence) / 2))
    share, spread = successes / trials, z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    reach = z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == trials else centre + reach
    return Interval(share, low, high, confidence, trials)


def _between_ranks(ordered: Floats, tails: Floats, confidence: float, count: int) -> Interval:
    """Return the median of `ordered` between the innermost ranks that reach `confidence`.

    `tails[k]` is the chance that the truth lies beyond an end from which k numbers are left out.
    """
    half = (len(ordered) + 1) // 2
    reaching = int(np.searchsorted(tails[:half], (1 - confidence) / 2, side="right"))
    out = max(reaching - 1, 0)  # none reaches it: the whole range, and what that attains
    low, high = float(ordered[out]), float(ordered[len(ordered) - 1 - out])
    attained = max(1 - 2 * float(tails[out]), 0.0)
    return Interval(float(np.median(ordered)), low, high, attained, count)


def _signed_rank_tails(n: int) -> Floats:
    """Return P(V ≤ v) for v = 0 .. n(n+1)/2, V the sum of a random subset of 1 .. n."""
    chance = np.zeros(n * (n + 1) // 2 + 1)
    chance[0] = 1.0
    for rank in range(1, n + 1):
        moved = np.zeros_like(chance)
        moved[rank:] = chance[:-rank]
        chance = (chance + moved) / 2
    return np.cumsum(chance)


def _slope_interval(centred: Floats, y: Floats, slope: float) -> Interval:
    """Return a least-squares slope with Student's interval on n - 2 degrees of freedom."""
    free = len(y) - 2
    residuals = y - y.mean() - slope * centred
    error = math.sqrt(float(residuals @ residuals) / free / float(centred @ centred))
    reach = float(special.stdtrit(free, (1 + CONFIDENCE) / 2)) * error
    return Interval(float(slope), slope - reach, slope + reach, CONFIDENCE, len(y))


def _logs(name: str, values: Series) -> Floats:
    numbers = _finite(name, values)
    if not (numbers > 0).all():
        raise ValueError(f"{name} has {numbers.min():g}; a logarithm needs positive numbers")
    return np.log(numbers)


def _finite(name: str, values: Series) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        raise ValueError(f"{name} is empty; at least one number is needed")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} has a number that is not finite; leave such trials out")
    return numbers
