"""Shares of trials, and shares of problems that a method solves nearly as fast as the fastest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.stats.interval import CONFIDENCE, Interval


@dataclass(frozen=True, slots=True)
class Profile:
    """A step function: the share of problems solved within `ratio` times the fastest's cost."""

    ratios: tuple[float, ...]  # where it steps up, from 1 on
    shares: tuple[float, ...]  # from that ratio on
    problems: int

    def within(self, ratio: float | int) -> float:
        """Return the share of problems solved within `ratio` times the cost of the fastest."""
        place = int(np.searchsorted(self.ratios, ratio, side="right"))
        return self.shares[place - 1] if place else 0.0


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


def performance_profiles(costs: Mapping[str, NDArray[np.float64]]) -> dict[str, Profile]:
    """Return the profile of every method from its cost on each problem, in the same order.

    A cost that is not finite is a failure and counts as infinity: a method is never rewarded for
    the problems that it did not survive, nor is a problem dropped that some, or all, have failed.

    Two profiles say who is best, and how often each is near the best; they do not rank the others
    (Gould and Scott 2016): take the best away, and the others may change places.

    Source: Dolan & Moré 2002, "Benchmarking optimization software with performance profiles".

    Raises:
        ValueError: there is no problem, methods have different numbers of them, or a cost is
            not positive.
    """
    sizes = {name: len(series) for name, series in costs.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise ValueError(f"costs on {sizes} problems; every method needs the same, at least 1")
    table = np.stack([np.asarray(series, dtype=np.float64) for series in costs.values()])
    table = np.where(np.isfinite(table), table, math.inf)  # (methods, problems)
    if (table <= 0).any():
        raise ValueError(f"a cost is {table.min():g}; costs are positive")
    fastest = table.min(axis=0)
    solved = np.isfinite(table)
    ratios = np.divide(table, fastest, out=np.full_like(table, math.inf), where=solved)
    return {name: _profile(row) for name, row in zip(costs, ratios, strict=True)}


def _profile(ratios: NDArray[np.float64]) -> Profile:
    steps, counts = np.unique(ratios[np.isfinite(ratios)], return_counts=True)
    shares = np.cumsum(counts) / len(ratios)
    return Profile(tuple(steps.tolist()), tuple(shares.tolist()), len(ratios))
