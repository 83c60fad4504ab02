"""The greedy split of nodes is the optimum of the linear programme that it claims to solve."""

import numpy as np
import pytest
from scipy.optimize import linprog

from harness.executors.share import part, soonest

CASES = [
    ([4], 10.0, 12.0),
    ([2, 2, 8], 10.0, 0.0),
    ([2, 2, 8], 0.0, 24.0),
    ([1, 2, 4, 16], 7.0, 100.0),
    ([1, 2, 4, 16], 300.0, 5.0),
    ([3, 3, 3], 20.0, 40.0),
]


def optimum(widths, alone, packed):
    """Return the least M with Σ xᵢ = alone, xᵢ ≤ M and Σ wᵢ (M - xᵢ) = packed."""
    count = len(widths)
    found = linprog(
        c=[1.0] + [0.0] * count,
        A_ub=[[-1.0, *row] for row in np.eye(count)] + [[-sum(widths), *widths]],
        b_ub=[0.0] * count + [-packed],
        A_eq=[[0.0] + [1.0] * count],
        b_eq=[alone],
    )
    return found.fun


@pytest.mark.parametrize(("widths", "alone", "packed"), CASES)
def test_the_soonest_end_is_the_linear_programme_s(widths, alone, packed):
    assert soonest(widths, alone, packed) == pytest.approx(optimum(widths, alone, packed), 1e-9)


@pytest.mark.parametrize(("widths", "alone", "packed"), CASES)
def test_the_parts_are_all_that_runs_alone_and_leave_room_for_the_rest(widths, alone, packed):
    seconds = soonest(widths, alone, packed)
    parts = [part(place, seconds, alone) for place in range(len(widths))]
    assert sum(parts) == pytest.approx(alone)
    room = sum(width * (seconds - mine) for width, mine in zip(widths, parts, strict=True))
    assert room >= packed * (1 - 1e-12)  # rounding


def test_timing_on_the_widest_nodes_first_would_end_later():
    assert soonest([8, 2], 5.0, 40.0) > 1.2 * optimum([2, 8], 5.0, 40.0)
