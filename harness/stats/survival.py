"""How long until a task is solved, where some trainings ended before they had solved it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.stats.interval import CONFIDENCE, Floats, Interval, Series, finite

ROUNDING = 1e-9  # a product of factors such as 3/4 and 2/3 is 1/2 but for its last digits


def median_until(
    times: Series, reached: Sequence[bool], confidence: float = CONFIDENCE
) -> Interval:
    """Return the median time to an event by Kaplan and Meier; `reached`: it was seen to happen.

    A training that stopped unsolved at time t says only "later than t". Dropping it, or counting
    it as solved at t, makes slow methods look fast. Where fewer than half are seen to be solved
    the median is infinite: not within the budget. Where exactly half are left it is the middle
    between that event and the next, if there is one. The interval holds the times at which the
    log-log band of the survival curve contains 1/2; it is approximate under some 10 events. At
    95 %, fewer than 6 trainings have no lower end, 0, and fewer than 6 events no upper, infinite.
    It takes censoring to be blind: a training that diverged is no "later than t", but never.

    Source: Kaplan & Meier 1958, "Nonparametric estimation from incomplete observations";
    Brookmeyer & Crowley 1982, "A confidence interval for the median survival time".

    Raises:
        ValueError: there is no time, one is not finite, or the lengths differ.
    """
    ends, seen = finite("times", times), np.asarray(reached, dtype=bool)
    if len(ends) != len(seen):
        raise ValueError(f"times has {len(ends)} entries and reached {len(seen)}; both need all")
    count, none = len(ends), (1 - confidence) / 2
    if not seen.any():  # n of n last longer: chance 2^-n, were the median before the first end
        low = float(ends.min()) if 0.5**count <= none else 0.0
        return Interval(math.inf, low, math.inf, confidence, count)
    curve, least, most = _survival(ends, seen, confidence)
    when = np.unique(ends)
    low = _first_at_half(when, least) if 0.5**count <= none else 0.0
    high = _first_at_half(when, most) if 0.5 ** seen.sum() <= none else math.inf
    return Interval(_middle(when, curve), low, high, confidence, count)


def _survival(ends: Floats, seen: NDArray[np.bool_], confidence: float) -> list[Floats]:
    """Return P(later than t) at every time, and the ends of its band."""
    from scipy import stats as scipy_stats  # 0.5 s, which the fork servers need not pay

    curve = scipy_stats.ecdf(scipy_stats.CensoredData(ends[seen], right=ends[~seen])).sf
    with warnings.catch_warnings():  # scipy warns that the band is undefined at 0 and at 1
        warnings.simplefilter("ignore", RuntimeWarning)
        band = curve.confidence_interval(confidence, method="log-log")
    share = np.asarray(curve.probabilities, dtype=np.float64)
    sides = [np.asarray(side.probabilities) for side in (band.low, band.high)]  # type: ignore[attr-defined]  # the stubs say numbers
    return [share, *(np.where(np.isnan(side), share, side) for side in sides)]


def _middle(when: Floats, share: Floats) -> float:
    """Return the median: of times at which exactly half are left the middle, as of even counts."""
    first = _first_at_half(when, share)
    after = when[share < 0.5 - ROUNDING]
    half = bool(np.isclose(share[when == first], 0.5, rtol=0.0, atol=ROUNDING).any())
    return (first + float(after[0])) / 2 if half and len(after) else first


def _first_at_half(when: Floats, share: Floats) -> float:
    """Return the first time at which no more than half are left; infinite where there is none."""
    reached = np.flatnonzero(share <= 0.5 + ROUNDING)
    return float(when[reached[0]]) if len(reached) else math.inf
