"""The greedy split of nodes is the optimum of the linear programme that it claims to solve."""

import numpy as np
import pytest
from scipy.optimize import linprog

from harness.executors.share import cost, parts, soonest

ALIKE = [(1.0, 4)]
SMALL_AND_LARGE = [(1.0, 2), (1.0, 2), (1.0, 8)]
FOUR = [(1.0, 1), (1.0, 2), (1.0, 4), (1.0, 16)]
ACCELERATORS = [(2.0, 2), (4.0, 4)]
UNLIKE = [(4.0, 4), (2.0, 3), (1.5, 4), (1.0, 8)]  # accelerators beside processors
CASES = [
    (ALIKE, 10.0, 12.0),
    (SMALL_AND_LARGE, 10.0, 0.0),
    (SMALL_AND_LARGE, 0.0, 24.0),
    (FOUR, 7.0, 100.0),
    (FOUR, 300.0, 5.0),
    ([(1.0, 3)] * 3, 20.0, 40.0),
    (ACCELERATORS, 30.0, 7.0),
    (UNLIKE, 20.0, 40.0),
    (UNLIKE, 60.0, 10.0),
    (UNLIKE, 1.0, 90.0),
]


def optimum(rooms, alone, packed):
    """Return the least M with Σ sᵢ xᵢ = alone, xᵢ ≤ M and Σ wᵢ (M - xᵢ) = packed."""
    count = len(rooms)
    seats, widths = map(list, zip(*rooms, strict=True))
    found = linprog(
        c=[1.0] + [0.0] * count,
        A_ub=[[-1.0, *row] for row in np.eye(count)] + [[-sum(widths), *widths]],
        b_ub=[0.0] * count + [-packed],
        A_eq=[[0.0, *seats]],
        b_eq=[alone],
    )
    return found.fun


@pytest.mark.parametrize(("rooms", "alone", "packed"), CASES)
def test_the_soonest_end_is_the_linear_programme_s(rooms, alone, packed):
    assert soonest(rooms, alone, packed) == pytest.approx(optimum(rooms, alone, packed), 1e-9)


@pytest.mark.parametrize(("rooms", "alone", "packed"), CASES)
def test_the_parts_are_all_that_is_timed_and_leave_room_for_the_rest(rooms, alone, packed):
    seconds = soonest(rooms, alone, packed)
    found = parts(rooms, seconds, alone)
    assert sum(found) == pytest.approx(alone)
    room = sum(
        width * (seconds - mine / seats) for (seats, width), mine in zip(rooms, found, strict=True)
    )
    assert room >= packed * (1 - 1e-12)  # rounding


def test_timing_where_it_costs_most_first_would_end_later():
    assert soonest([(1.0, 8), (1.0, 2)], 5.0, 40.0) > 1.2 * optimum([(1.0, 2), (1.0, 8)], 5.0, 40.0)
    assert sorted(UNLIKE, key=cost) == UNLIKE
