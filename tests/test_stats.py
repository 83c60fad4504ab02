from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as reference

from harness import stats
from harness.stats import Interval, hodges_lehmann, median_interval, paired_ratio, power_law

RNG_SEED = 20260101


def covered(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def skewed(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Times as a machine gives them: a hard floor and a long tail. Their median is 1."""
    return 0.5 + 0.5 * rng.lognormal(sigma=1.0, size=size)


# ------------------------------------------------------------------------------ medians


def test_the_median_of_nine_lies_between_the_second_and_the_eighth():
    # P(Bin(9, 1/2) <= 1) = 10 / 512 a side
    got = median_interval([9, 1, 8, 2, 7, 3, 6, 4, 5])
    assert got == Interval(5.0, 2.0, 8.0, 1 - 20 / 512, 9)


def test_five_samples_attain_less_than_95_percent_for_the_median():
    assert median_interval([5, 1, 4, 2, 3]) == Interval(3.0, 1.0, 5.0, 1 - 2 / 32, 5)


def test_one_sample_gives_itself_and_no_confidence():
    assert median_interval([7.0]) == Interval(7.0, 7.0, 7.0, 0.0, 1)


@pytest.mark.parametrize("n", [2, 6, 10, 25, 100])
def test_the_median_interval_is_the_one_scipy_finds(n):
    samples = np.random.default_rng(RNG_SEED).lognormal(size=n)
    ours = median_interval(samples)
    theirs = reference.quantile_test(samples, p=0.5).confidence_interval(0.95)
    want = (theirs.low, theirs.high) if n >= 6 else (samples.min(), samples.max())
    assert (ours.low, ours.high) == want


def test_the_median_interval_covers_the_median_of_skewed_times():
    rng = np.random.default_rng(RNG_SEED)
    hits = [covered(median_interval(row), 1.0) for row in skewed(rng, (2000, 15))]
    attained = median_interval(np.arange(15)).confidence
    # 5 standard errors of 2,000 coin tosses
    assert abs(np.mean(hits) - attained) < 5 * math.sqrt(attained * (1 - attained) / 2000)


# ------------------------------------------------------------------------------ Hodges-Lehmann


def test_hodges_lehmann_is_the_median_of_pairwise_means():
    # means of pairs of 1, 2, 6: 1, 1.5, 2, 3.5, 4, 6
    assert hodges_lehmann([6, 1, 2]) == Interval(2.75, 1.0, 6.0, 0.75, 3)


@pytest.mark.parametrize(
    ("n", "attained"), [(1, 0.0), (2, 0.5), (3, 0.75), (5, 0.9375), (6, 1 - 2 / 64)]
)
def test_the_widest_interval_of_few_samples_says_what_it_attains(n, attained):
    got = hodges_lehmann(np.arange(n))
    assert (got.low, got.high, got.confidence) == (0.0, n - 1.0, attained)


@pytest.mark.parametrize("n", [6, 8, 15, 30])
def test_the_interval_holds_what_the_exact_wilcoxon_test_does_not_reject(n):
    samples = np.random.default_rng(RNG_SEED).normal(size=n)
    got = hodges_lehmann(samples)
    nudge = 1e-9

    def p_value(centre: float) -> float:
        return float(reference.wilcoxon(samples - centre, mode="exact").pvalue)

    assert p_value(got.low + nudge) > 0.05 >= p_value(got.low - nudge)
    assert p_value(got.high - nudge) > 0.05 >= p_value(got.high + nudge)
    assert got.confidence == pytest.approx(1 - p_value(got.low - nudge))


def test_the_interval_of_paired_ratios_covers_the_true_ratio_despite_block_noise():
    rng = np.random.default_rng(RNG_SEED)
    blocks = rng.lognormal(sigma=0.3, size=(2000, 8))  # what both rivals of a block share
    base, new = blocks * rng.lognormal(0, 0.02, (2, 2000, 8))
    got = [paired_ratio(1.25 * a, b) for a, b in zip(new, base, strict=True)]
    attained = got[0].confidence
    hits = [covered(interval, 1.25) for interval in got]
    assert abs(np.mean(hits) - attained) < 5 * math.sqrt(attained * (1 - attained) / 2000)
    assert (
        attained == 1 - 2 * 5 / 256
    )  # P(V <= 3): the subsets {}, {1}, {2}, {3}, {1, 2} of 8 ranks


def test_swapping_the_rivals_gives_the_reciprocal():
    new, base = [1.0, 1.3, 0.9, 1.1, 1.2, 1.4], [1.0, 1.0, 1.1, 0.9, 1.2, 1.1]
    there, back = paired_ratio(new, base), paired_ratio(base, new)
    assert 1 / back.estimate == pytest.approx(there.estimate)
    assert (1 / back.high, 1 / back.low) == pytest.approx((there.low, there.high))


@pytest.mark.parametrize(
    ("new", "base", "problem"),
    [
        ([1.0, 2.0], [1.0], "new has 2 blocks and base 1"),
        ([], [], "new is empty"),
        ([1.0, 0.0], [1.0, 1.0], "new has 0"),
        ([1.0, 1.0], [1.0, math.nan], "base has a number that is not finite"),
    ],
    ids=["unequal", "empty", "zero", "nan"],
)
def test_a_ratio_of_unusable_numbers_is_refused_with_their_name(new, base, problem):
    with pytest.raises(ValueError, match=problem):
        paired_ratio(new, base)


# ------------------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (0.80, 0.98, "faster"),
        (1.02, 1.30, "slower"),
        (0.995, 1.005, "equivalent"),
        (0.98, 1.02, "inconclusive"),
        (1.002, 1.02, "inconclusive"),
        (0.98, 0.998, "inconclusive"),
    ],
    ids=["below", "above", "within", "across", "over one end", "over the other"],
)
def test_a_verdict_compares_the_whole_interval_with_the_margin(low, high, want):
    assert stats.verdict(Interval((low + high) / 2, low, high, 0.96, 8)) == want


def test_a_wider_margin_turns_a_small_difference_into_equivalence():
    slightly_slower = Interval(1.03, 1.02, 1.04, 0.96, 8)
    assert stats.verdict(slightly_slower, margin=0.01) == "slower"
    assert stats.verdict(slightly_slower, margin=0.05) == "equivalent"


@pytest.mark.parametrize(("blocks", "want"), [(5, "too few blocks"), (6, "slower")])
def test_five_blocks_give_no_verdict_and_six_do(blocks, want):
    assert stats.verdict(paired_ratio([2.0] * blocks, [1.0] * blocks)) == want


def test_identical_rivals_are_seldom_called_different():
    rng = np.random.default_rng(RNG_SEED)
    base, new = rng.lognormal(0, 0.02, (2, 1000, 8))
    verdicts = [stats.verdict(paired_ratio(a, b)) for a, b in zip(new, base, strict=True)]
    wrong = sum(verdict in ("faster", "slower") for verdict in verdicts)
    assert wrong <= 50  # 5 % of 1,000, an upper bound: the margin makes it far rarer


# ------------------------------------------------------------------------------ growth


def test_an_exact_power_law_is_recovered_without_doubt():
    lengths = [64, 128, 256, 512]
    got = power_law(lengths, [3e-4 * n**1.5 for n in lengths])
    assert got is not None
    assert got.scale == pytest.approx(3e-4)
    assert (got.exponent.low, got.exponent.high) == pytest.approx((1.5, 1.5))


def test_the_slope_of_one_series_is_scipys_linear_regression():
    lengths, values = [1, 2, 4, 8, 16], [1.0, 2.3, 3.8, 8.4, 15.0]
    got = power_law(lengths, values)
    want = reference.linregress(np.log(lengths), np.log(values))
    reach = reference.t.ppf(0.975, df=3) * want.stderr
    assert got is not None
    assert got.exponent.estimate == pytest.approx(want.slope)
    assert got.exponent.high - got.exponent.low == pytest.approx(2 * reach)
    assert got.scale == pytest.approx(math.exp(want.intercept))


def test_the_exponent_over_blocks_covers_the_truth():
    rng = np.random.default_rng(RNG_SEED)
    lengths = 2.0 ** np.arange(6, 11)
    noise = rng.lognormal(0, 0.05, (1000, 6, 5))
    laws = [power_law(lengths, list(lengths**1.2 * blocks)) for blocks in noise]
    hits = [law is not None and covered(law.exponent, 1.2) for law in laws]
    attained = 1 - 2 / 64  # 6 blocks
    assert abs(np.mean(hits) - attained) < 5 * math.sqrt(attained * (1 - attained) / 1000)


@pytest.mark.parametrize("lengths", [[64], [64, 128], [64, 128, 128]])
def test_fewer_than_three_lengths_give_no_exponent(lengths):
    assert power_law(lengths, [1.0, 2.0, 2.1][: len(lengths)]) is None


def test_a_series_of_another_length_is_refused():
    with pytest.raises(ValueError, match="values has 2 entries a block for 3 lengths"):
        power_law([1, 2, 4], [[1.0, 2.0], [1.0, 2.0]])


# ------------------------------------------------------------------------------ proportions


@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 5), (5, 5), (3, 10), (50, 100)], ids=lambda n: str(n)
)
def test_a_proportions_interval_is_scipys_wilson_interval(successes, trials):
    got = stats.wilson(successes, trials)
    want = reference.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert (got.low, got.high) == pytest.approx((want.low, want.high))
    assert covered(got, got.estimate)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 4)])
def test_an_impossible_count_of_successes_is_refused(successes, trials):
    with pytest.raises(ValueError, match=f"{successes} successes of {trials} trials"):
        stats.wilson(successes, trials)
