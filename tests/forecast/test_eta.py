"""How far the ETA of a whole sweep is off, on simulated sweeps whose course is known."""

import heapq
import math
import random
import statistics
from dataclasses import dataclass, replace

import pytest
from demands import demand, record, trial

from harness.forecast.machine import ALONE, Machine
from harness.forecast.model import Forecast
from harness.forecast.progress import Progress

SLOTS = 4
LENGTHS = (64, 512)
METHODS = ("full", "cut", "rtrl")
CELLS = ("lstm", "gru")
# In logarithms, as errors of such estimates are seen to be: what a method has for itself, what
# a cell has, what a point has, and what one trial has.
ERRORS = {"method": 0.5, "cell": 0.3, "point": 0.2, "trial": 0.1}
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Course:
    """What an ETA said at a quarter, a half and three quarters of a sweep's time."""

    off: tuple[float, ...]  # ETA over truth, less 1
    within: tuple[bool, ...]  # the range that it gave


def sweep():
    trials = [
        trial(measurement, name, length, block, cell)
        for block in range(2)
        for measurement in ("memory", "training", "speed")
        for length in LENGTHS
        for name in METHODS
        for cell in CELLS
    ]
    return trials, {one.id: demand(one.sequence_length) for one in trials}


def truths(trials, demands, chance, machine):
    """Return what every trial really takes."""
    drawn = {}

    def error(kind, *key):
        return drawn.setdefault((kind, *key), chance.gauss(0, ERRORS[kind]))

    blind = Forecast(demands)
    return {
        one.id: machine
        * blind.uncorrected(one)
        * math.exp(
            error("method", one.implementation.label)
            + error("cell", one.cell.use)
            + error("point", one.implementation.label, one.cell.use, one.sequence_length)
            + error("trial", one.id)
        )
        for one in trials
    }


def events(order, took):
    """Return when trials begin and end on one node: timed ones alone, the others packed."""
    now, running, found = 0.0, [], []
    for number, one in enumerate(order):
        alone = one.measurement == ALONE
        while running and (len(running) == SLOTS or alone or running[0][2].measurement == ALONE):
            now, _, ended = heapq.heappop(running)
            found.append((now, True, ended))
        found.append((now, False, one))
        heapq.heappush(running, (now + took[one.id], number, one))
    return found + [(at, True, one) for at, _, one in sorted(running)]


def course(seed, learns=True):
    """Return what the ETA said along a sweep."""
    chance = random.Random(seed)
    trials, demands = sweep()
    chance.shuffle(trials)
    took = truths(trials, demands, chance, machine=chance.uniform(0.5, 2.0))
    order = sorted(trials, key=lambda one: (one.block, one.measurement == ALONE, -took[one.id]))
    clock = [0.0]
    progress = Progress(Forecast(demands), trials, Machine(SLOTS), lambda: clock[0])
    happened, asked = events(order, took), list(QUARTERS)
    end = happened[-1][0]
    off, within = [], []
    for at, is_end, one in happened:
        while asked and at >= asked[0] * end:
            clock[0] = asked.pop(0) * end
            left, truth = progress.remaining(), end - clock[0]
            off.append(left.seconds / truth - 1)
            within.append(1 / (1 + left.spread) <= left.seconds / truth <= 1 + left.spread)
        clock[0] = at
        if is_end:
            ended = record(one, took[one.id])
            progress.ended(ended if learns else replace(ended, status="failed"))
        else:
            progress.started(one)
    return Course(tuple(off), tuple(within))


@pytest.fixture(scope="module")
def courses():
    return [course(seed) for seed in range(4)]


def off(courses, quarter):
    """Return the median of how far ETAs were off, whichever way, and the worst."""
    found = [abs(each.off[QUARTERS.index(quarter)]) for each in courses]
    return statistics.median(found), max(found)


# Seen over 12 sweeps of 288 trials: 15 %, 3 % and 8 % at the quarters, at worst 57 %, 6 % and 15 %.
@pytest.mark.parametrize(("quarter", "median", "worst"), [(0.25, 0.4, 1.0), (0.5, 0.15, 0.4)])
def test_the_eta_nears_the_truth(courses, quarter, median, worst):
    assert off(courses, quarter) < (median, worst)


def test_at_three_quarters_it_is_off_by_less_than_a_tenth_of_the_whole(courses):
    assert off(courses, 0.75)[1] / 4 < 0.1


def test_the_range_that_it_gives_holds_the_truth_nine_times_of_ten(courses):
    told = [inside for each in courses for inside in each.within]
    assert sum(told) >= 0.9 * len(told)


def test_an_eta_that_learns_nothing_stays_wrong(courses):
    blind = [course(seed, learns=False) for seed in range(2)]
    assert off(blind, 0.5)[0] > 2 * off(courses, 0.5)[0]
