import math

import numpy as np
import pytest

from harness.stats import median_until

RNG_SEED = 20260101


def test_without_censoring_it_is_the_median_in_the_middle_of_the_times():
    got = median_until([5, 1, 4, 2, 3], [True] * 5)
    assert got.estimate == 3.0
    assert got.low <= 3.0 <= got.high


@pytest.mark.parametrize("times", [[1, 3], [1, 2, 4, 9], [1, 2, 3, 5, 6, 9]], ids=len)
def test_of_an_even_number_of_times_the_median_is_the_middle_between_two(times):
    assert median_until(times, [True] * len(times)).estimate == np.median(times)


def test_where_half_are_left_the_middle_is_to_the_next_event_and_not_to_who_gave_up():
    reached = [True, True, False, True]  # 3/4, 1/2, given up at 3, and none after 9
    assert median_until([1, 2, 3, 9], reached).estimate == (2 + 9) / 2
    # without another event, the time by which half have it
    assert median_until([1, 2, 3, 9], [True, True, False, False]).estimate == 2


@pytest.mark.parametrize(
    ("solved", "unsolved", "ends"),
    [(2, 0, (0, math.inf)), (5, 0, (0, math.inf)), (6, 0, (1, 6)), (5, 1, (1, math.inf))],
)
def test_few_trainings_leave_an_end_of_the_interval_open(solved, unsolved, ends):
    # All of n are on one side of the median with chance 2^-n: 3.1 % of 5, and 1.6 % of 6.
    times = [*range(1, solved + 1), *[0.5] * unsolved]
    got = median_until(times, [True] * solved + [False] * unsolved)
    assert (got.low, got.high) == ends


def test_an_interval_of_so_few_covers_the_median_as_often_as_it_says():
    # What it was before, from the first to the last of two, holds the median in half of all cases.
    rng = np.random.default_rng(RNG_SEED)
    draws = rng.exponential(1 / math.log(2), (400, 2))
    ends = [median_until(two, [True, True]) for two in draws]
    assert all(one.low <= 1.0 <= one.high for one in ends)
    assert np.mean((draws.min(1) <= 1.0) & (draws.max(1) >= 1.0)) < 0.6


def test_a_training_cut_short_counts_as_later_and_not_as_solved():
    # Left after 1: 4 / 5. Two ended unsolved at 1.5, so at 2 one of the two left: 2 / 5.
    times = [1, 1.5, 1.5, 2, 3]
    assert median_until(times, [True, False, False, True, True]).estimate == 2.0
    assert median_until(times, [True] * 5).estimate == 1.5


def test_where_fewer_than_half_are_solved_the_median_is_not_within_the_budget():
    got = median_until([1, 9, 9, 9], [True, False, False, False])
    assert (got.estimate, got.high) == (math.inf, math.inf)


@pytest.mark.parametrize(("trainings", "low"), [(2, 0.0), (6, 9.0)])
def test_where_none_is_solved_only_many_trainings_say_that_it_takes_longer(trainings, low):
    got = median_until([9] * trainings, [False] * trainings)
    assert (got.estimate, got.low) == (math.inf, low)


def solved(rng, trials, budget):
    """Return exponential times to solve with median 1, cut at what each training could spend."""
    times = rng.exponential(1 / math.log(2), (trials, 30))
    return np.minimum(times, budget), times <= budget


def test_the_interval_covers_the_median_in_spite_of_censoring():
    rng = np.random.default_rng(RNG_SEED)
    budget = rng.uniform(0.5, 3.0, (150, 30))  # drawn without looking at the training
    got = [median_until(t, r.tolist()) for t, r in zip(*solved(rng, 150, budget), strict=True)]
    hits = [one.low <= 1.0 <= one.high for one in got]
    assert np.mean(hits) > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 150)


def test_dropping_what_was_cut_short_makes_everything_look_fast():
    rng = np.random.default_rng(RNG_SEED)
    times, reached = solved(rng, 1, 0.8)
    assert np.median(times[reached]) < 0.6  # the truth is 1
    assert median_until(times[0], reached[0].tolist()).high > 0.8


def test_censoring_that_picks_the_slow_ones_breaks_it():
    # A training given up *because* it goes badly is no "later than t": the median comes out low.
    rng = np.random.default_rng(RNG_SEED)
    times = rng.exponential(1 / math.log(2), 400)
    slow = times > 1.0
    informative = median_until(np.where(slow, 0.2 * times, times), (~slow).tolist())
    assert not informative.low <= 1.0 <= informative.high


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="times has 2 entries and reached 1"):
        median_until([1, 2], [True])
