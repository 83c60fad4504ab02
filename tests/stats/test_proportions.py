import math

import numpy as np
import pytest
from scipy import stats as reference

from harness import stats
from harness.stats import performance_profiles


def covered(interval: stats.Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 5), (5, 5), (3, 10), (50, 100)], ids=lambda n: str(n)
)
def test_a_proportions_interval_is_scipys_wilson_interval(successes, trials):
    got = stats.wilson(successes, trials)
    want = reference.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert (got.low, got.high) == pytest.approx((want.low, want.high))
    assert covered(got, got.estimate)


def coverage(interval, trials: int, shares: np.ndarray, weight: int = 1) -> float:
    """Return how often the interval covers a share, on average over the shares: exactly, no luck.

    `trials` stand in groups of `weight` that all end alike.
    """
    draws = trials // weight
    hit = np.array(
        [[covered(interval(weight * k, trials), p) for k in range(draws + 1)] for p in shares]
    )
    chance = reference.binom.pmf(np.arange(draws + 1), draws, shares[:, None])
    return float((chance * hit).sum(axis=1).mean())


def of_wald(successes: int, trials: int) -> stats.Interval:
    share = successes / trials
    reach = 1.96 * math.sqrt(share * (1 - share) / trials)
    return stats.Interval(share, share - reach, share + reach, 0.95, trials)


def test_wilsons_interval_covers_rare_divergence_and_the_textbooks_does_not():
    shares = np.linspace(0.02, 0.3, 57)
    assert coverage(stats.wilson, 20, shares) == pytest.approx(0.95, abs=0.015)  # it comes in steps
    assert coverage(of_wald, 20, shares) < 0.85


def test_trials_that_share_a_seed_break_wilsons_interval():
    # 20 trials of 4 seeds, whose five learning rates all diverge or all survive: 4 trials in truth.
    assert coverage(stats.wilson, 20, np.linspace(0.1, 0.9, 81), weight=5) < 0.7


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 4)])
def test_an_impossible_count_of_successes_is_refused(successes, trials):
    with pytest.raises(ValueError, match=f"{successes} successes of {trials} trials"):
        stats.wilson(successes, trials)


# ------------------------------------------------------------------------------ profiles


def profiles(**costs):
    return performance_profiles({name: np.array(row, float) for name, row in costs.items()})


def test_a_profile_is_the_share_of_problems_within_a_factor_of_the_fastest():
    got = profiles(a=[1, 1, 4], b=[2, 3, 1])
    assert got["a"].within(1.0) == pytest.approx(2 / 3)
    assert [got["b"].within(factor) for factor in (1, 2, 2.9, 3)] == pytest.approx(
        [1 / 3, 2 / 3, 2 / 3, 1]
    )


def test_a_failure_is_never_within_any_factor():
    got = profiles(a=[1, math.nan, 1], b=[2, 2, math.inf])
    assert got["a"].within(1e9) == got["b"].within(1e9) == pytest.approx(2 / 3)
    assert got["b"].within(1.0) == pytest.approx(1 / 3)  # the fastest where the other failed


def test_a_problem_that_nobody_solved_stays_in_the_count():
    got = profiles(a=[1, math.nan], b=[1, math.inf])
    assert (got["a"].within(1e9), got["a"].problems) == (0.5, 2)


def test_geometric_means_over_what_ran_would_reward_the_method_that_failed():
    # The control: `a` fails the one hard problem and has the lower mean of those it ran.
    a, b = [1.0, 1.0, math.nan], [1.0, 1.0, 50.0]
    assert np.nanmean(np.log(a)) < np.mean(np.log(b))
    got = profiles(a=a, b=b)
    assert got["b"].within(10) > got["a"].within(10)


def test_the_order_of_the_others_may_depend_on_who_is_best():
    # What the docstring warns of (Gould & Scott 2016): `b` leads `c` only until `a` is gone.
    a, b, c = [1, 1, 5], [2, 2, 2.5], [2.2, 2.2, 1]
    with_a, without = profiles(a=a, b=b, c=c), profiles(b=b, c=c)
    assert with_a["b"].within(2) > with_a["c"].within(2)
    assert without["b"].within(2) < without["c"].within(2)


@pytest.mark.parametrize(
    ("costs", "problem"),
    [
        ({"a": [1.0], "b": [1.0, 2.0]}, "every method needs the same"),
        ({"a": []}, "at least 1"),
        ({"a": [0.0]}, "costs are positive"),
    ],
    ids=["unequal", "empty", "zero"],
)
def test_costs_that_make_no_profile_are_refused(costs, problem):
    with pytest.raises(ValueError, match=problem):
        profiles(**costs)
