"""What makes samples of time weak, in words: they are flagged, never deleted."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
from scipy import special

HALVES = 0.02  # halves of a run that differ by more are flagged (MEASURING)
OUTLIER = 1.5  # times the median
TREND = 0.01  # a drift over the whole run that is smaller than the precision asked for is none
TREND_ODDS = 0.01  # samples in an order as telling come by chance in one run of a hundred


def flags(samples: Sequence[float]) -> list[str]:
    """Return what is wrong with the order or the spread of the samples."""
    return [said for said in (_outliers(samples), _halves(samples), _trend(samples)) if said]


def _outliers(samples: Sequence[float]) -> str:
    middle = statistics.median(samples)
    count = sum(sample > OUTLIER * middle for sample in samples)
    return f"{count} of {len(samples)} samples above {OUTLIER:g} times the median" if count else ""


def _halves(samples: Sequence[float]) -> str:
    half = len(samples) // 2
    if not half:
        return ""
    early, late = statistics.median(samples[:half]), statistics.median(samples[half:])
    if abs(late / early - 1) <= HALVES:
        return ""
    return f"the second half took {late / early:.2f} times the first half's time"


def _trend(samples: Sequence[float]) -> str:
    """Return the drift by Mann and Kendall's test and Theil and Sen's slope, both by ranks."""
    count = len(samples)
    first, second = np.triu_indices(count, 1)
    values = np.asarray(samples, dtype=float)
    steps = values[second] - values[first]
    variance = count * (count - 1) * (2 * count + 5) / 18
    if not variance:
        return ""
    score = max(0.0, abs(float(np.sign(steps).sum())) - 1)  # less 1: S comes in steps of 2
    odds = 2 * float(special.ndtr(-score / math.sqrt(variance)))
    drift = float(np.median(steps / (second - first))) * (count - 1) / statistics.median(samples)
    if odds > TREND_ODDS or abs(drift) <= TREND:
        return ""
    return f"a trend: {'slower' if drift > 0 else 'faster'} by {abs(drift):.1%} over the samples"


def crowded(asked: int, in_force: int, cores: int) -> list[str]:
    """Return what is wrong with the threads that ran and the cores that they had."""
    found = []
    if in_force != asked:
        found.append(f"{asked} threads were asked for, {in_force} were in force")
    if in_force > cores:
        found.append(f"{in_force} threads shared {cores} cores")
    if in_force < cores:
        found.append(f"not pinned: {in_force} of {cores} cores would do")
    return found
