"""The length at which two methods take the same time, without assuming how either grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from harness.stats.interval import CONFIDENCE, Floats, Interval, Series, log_blocks, logs
from harness.stats.location import Centres, centres

STEPS = 64  # between two measured lengths: a factor of 2 in steps of 1.1 %

Outcome = Literal["crosses", "not within the range", "undecided", "too few blocks"]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where `new` and `base` change places."""

    length: Interval
    cheaper_before: Literal["new", "base"]
    measured: tuple[float, float]  # the measured lengths around the interval


@dataclass(frozen=True, slots=True)
class Crossings:
    """Every place at which two methods change places, or why there is none."""

    found: tuple[Crossing, ...]
    outcome: Outcome


def crossings(lengths: Series, new: Sequence[Series], base: Sequence[Series]) -> Crossings:
    """Return the lengths at which `new` and `base` cost the same, each with its interval.

    `new` and `base` hold one series a block, as long as `lengths`, block by block the same. The
    log ratio of each block is interpolated between measured lengths, along log T. A length is in
    the interval if the Hodges-Lehmann interval of the ratio there contains 1: the signed-rank test
    inverted, so that the interval covers as often as that test does, whatever the curves are. On
    each side of it one method is cheaper for sure. Nothing is extrapolated.

    Between two measured lengths the ratio is taken to be straight over log T. Where it jumps, as
    where a cache overflows, the interval may miss, and the truth is in `measured` all the same.

    "not within the range": one method is cheaper at every length of it. "undecided": they may or
    may not cross, for near some end the interval of the ratio contains 1. "too few blocks": under
    6, or under 2 lengths.

    Raises:
        ValueError: the blocks differ in number, a series is not as long as `lengths`, or a number
            is not positive and finite.
    """
    if len(new) != len(base):
        raise ValueError(f"new has {len(new)} blocks and base {len(base)}; pairs need both")
    x = logs("lengths", lengths)
    order = np.argsort(x)
    ratios = log_blocks("new", new, len(x)) - log_blocks("base", base, len(x))
    places = _between(x[order])
    between = centres(np.stack([np.interp(places, x[order], row[order]) for row in ratios]))
    if between.confidence < CONFIDENCE or len(x) < 2:
        return Crossings((), "too few blocks")
    side = np.sign(between.low) * (np.sign(between.low) == np.sign(between.high))  # 0: not sure
    sure = np.flatnonzero(side[::STEPS]) * STEPS  # of the measured lengths: fewer chances to err
    turns = [(int(i), int(j)) for i, j in pairwise(sure) if side[i] != side[j]]
    found = tuple(
        _crossing(places, between, _narrowed(side, *turn), x, len(ratios)) for turn in turns
    )
    if found:
        return Crossings(found, "crosses")
    return Crossings((), "not within the range" if side.all() else "undecided")


def _between(x: Floats) -> Floats:
    """Return the places to look at, the measured ones among them, as logarithms."""
    parts = [np.linspace(a, b, STEPS, endpoint=False) for a, b in pairwise(x)]
    return np.concatenate([*parts, x[-1:]])


def _crossing(
    places: Floats, between: Centres, turn: tuple[int, int], measured: Floats, blocks: int
) -> Crossing:
    """Return the crossing between the last place before and the first one after that are sure."""
    before, after = turn
    there = slice(before, after + 1)
    estimate = _root(places[there], between.estimate[there])
    low, high = float(places[before]), float(places[after])
    around = measured[measured <= low].max(), measured[measured >= high].min()
    length, least, most = (math.exp(end) for end in (estimate, low, high))
    return Crossing(
        Interval(length, least, most, between.confidence, blocks),
        "new" if between.estimate[before] < 0 else "base",
        (math.exp(around[0]), math.exp(around[1])),
    )


def _root(places: Floats, values: Floats) -> float:
    """Return where the values change sign for the first time; their ends differ in sign."""
    last = int(np.flatnonzero(np.sign(values) != np.sign(values[0]))[0])
    share = values[last - 1] / (values[last - 1] - values[last])
    return float(places[last - 1] + share * (places[last] - places[last - 1]))


def _narrowed(side: Floats, before: int, after: int) -> tuple[int, int]:
    """Return the last place of the first run of this sign, and the first of the last run."""
    part = side[before : after + 1]
    left, not_yet = part != part[0], part != part[-1]
    return before + int(np.argmax(left)) - 1, after - int(np.argmax(not_yet[::-1])) + 1
