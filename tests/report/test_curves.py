"""Curves of several blocks meet where their points do not lie at the same places."""

from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import metrics
from harness.report.figures import curves


def merged(*blocks):
    """Return the curve of one series as (x, estimate, low, high), from x and y of each block."""
    records = [
        replace(
            fake.record(fake.trial("training", block=block)),
            values={"sequence": list(xs), "loss": list(ys)},
        )
        for block, (xs, ys) in enumerate(blocks)
    ]
    found = curves.table(metrics.frame(records), records, "sequence", "loss")
    return [tuple(row) for row in found[["x", "estimate", "low", "high"]].to_numpy().tolist()]


def test_blocks_with_the_same_places_give_the_median_and_range_of_each():
    found = merged(([1, 3, 5], [1, 2, 3]), ([1, 3, 5], [3, 2, 9]), ([1, 3, 5], [2, 2, 6]))
    assert found == [(1, 2, 1, 3), (3, 2, 2, 2), (5, 6, 3, 9)]


def test_places_a_little_apart_are_one_point_and_not_three():
    found = merged(
        ([0, 1.0, 2.0], [5, 1, 1]), ([0, 1.1, 2.2], [5, 2, 2]), ([0, 0.9, 1.8], [5, 3, 3])
    )
    assert found == [(0, 5, 5, 5), (1.0, 2, 1, 3), (2.0, 2, 1, 3)]


def test_beyond_the_end_of_one_block_the_others_go_on_alone():
    found = merged(([0, 2, 4, 6], [9, 5, 5, 5]), ([0, 2], [9, 7]))
    assert found == [(0, 9, 9, 9), (2, 6, 5, 7), (4, 5, 5, 5), (6, 5, 5, 5)]


def test_many_points_of_a_block_that_broke_early_count_as_its_mean():
    # thinned to as many points, the shorter run's lie closer
    found = merged(([0, 10, 20], [0, 4, 4]), (range(11), [0, *[6] * 9, 8]))
    assert found[0] == (pytest.approx(1.25), pytest.approx(2.5), 0, 5)  # 0 to 5 of the second
    assert found[1] == (pytest.approx(9.0), pytest.approx(5.2), 4, pytest.approx(6.4))
    assert found[2] == (20, 4, 4, 4)


def test_a_null_is_no_point():
    assert merged(([0, 1], [1, None])) == [(0, 1, 1, 1)]
