import math

import numpy as np
import pytest
from scipy import stats as reference

from harness.stats import Interval, hodges_lehmann, median_interval, paired_ratio, unpaired_ratio

RNG_SEED = 20260101


def covered(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def skewed(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Times as a machine gives them: a hard floor and a long tail. Their median is 1."""
    return 0.5 + 0.5 * rng.lognormal(sigma=1.0, size=size)


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


def test_what_drifts_between_blocks_cancels_in_pairs_and_not_across_them():
    # 3 % a block slower, as a machine that heats up: the ratio of a block does not see it.
    rng = np.random.default_rng(RNG_SEED)
    drift = 1.03 ** np.arange(8)
    base, new = drift * rng.lognormal(0, 0.002, (2, 8))
    paired, pooled = paired_ratio(new, base), unpaired_ratio(new, base)
    assert paired.high - paired.low < 0.01
    assert pooled.high - pooled.low > 0.2
    assert covered(paired, 1.0)
    assert covered(pooled, 1.0)


def test_all_of_one_rival_before_the_other_turns_drift_into_a_difference():
    # What interleaving is for: no interval can undo an order in which drift and rival are one.
    drift = 1.003 ** np.arange(16)
    assert paired_ratio(drift[8:], drift[:8]).low > 1.02


def test_samples_of_a_process_pooled_as_if_independent_are_overconfident():
    # 20 samples of each of 8 processes share their process's luck (sd 1 %, within 0.5 %).
    rng = np.random.default_rng(RNG_SEED)
    luck = rng.normal(0, 0.01, (400, 8, 1))
    samples = np.exp(luck + rng.normal(0, 0.005, (400, 8, 20)))
    pooled = [covered(median_interval(row.ravel()), 1.0) for row in samples]
    apart = [covered(median_interval(np.median(row, axis=1)), 1.0) for row in samples]
    assert np.mean(pooled) < 0.5
    assert np.mean(apart) > 0.95


def test_skewed_samples_move_hodges_lehmann_off_the_median_and_ratios_of_them_do_not():
    # One exponential has its centre 0.84, not the median 0.69; a difference of two is symmetric.
    rng = np.random.default_rng(RNG_SEED)
    one, other = rng.exponential(size=(2, 400, 30))
    off = [covered(hodges_lehmann(row), math.log(2)) for row in one]
    ratios = [paired_ratio(np.exp(a), np.exp(b)) for a, b in zip(one, other, strict=True)]
    assert np.mean(off) < 0.9
    assert np.mean([covered(ratio, 1.0) for ratio in ratios]) > 0.93  # attains 0.95; 400 draws


# ------------------------------------------------------------------------------ two runs


def runs(rng: np.random.Generator, spread: float, blocks: tuple[int, int], trials: int = 600):
    """Yield what two runs of the same thing took; the second scatters `spread` times as much."""
    base = np.exp(rng.normal(0, 0.01, (trials, blocks[0])))
    new = np.exp(rng.normal(0, 0.01 * spread, (trials, blocks[1])))
    return zip(new, base, strict=True)


@pytest.mark.parametrize("spread", [1.0, 8.0], ids=["alike", "unlike"])
def test_the_ratio_of_two_runs_covers_the_truth_however_they_scatter(spread):
    rng = np.random.default_rng(RNG_SEED)
    got = [unpaired_ratio(*pair) for pair in runs(rng, spread, (8, 8))]
    assert np.mean([covered(interval, 1.0) for interval in got]) >= got[0].confidence - 0.02
    assert got[0].confidence >= 0.95


def test_mann_and_whitney_would_not_cover_where_the_runs_scatter_unlike():
    # The control: why the narrower interval, which inverts that test, is not used.
    rng = np.random.default_rng(RNG_SEED)
    unlike = list(runs(rng, 12.0, (20, 7), 500))
    wrong = [reference.mannwhitneyu(new, base).pvalue < 0.05 for new, base in unlike]
    ours = [not covered(unpaired_ratio(new, base), 1.0) for new, base in unlike]
    assert np.mean(wrong) > 0.08
    assert np.mean(ours) < 0.06  # 5 % and the luck of 500 draws


def test_not_sharing_blocks_costs_width():
    rng = np.random.default_rng(RNG_SEED)
    base, new = rng.lognormal(0, 0.02, (2, 8))
    paired, unpaired = paired_ratio(new, base), unpaired_ratio(new, base)
    assert unpaired.high / unpaired.low > paired.high / paired.low


@pytest.mark.parametrize(("blocks", "enough"), [(6, False), (7, True)])
def test_two_runs_need_seven_blocks_each(blocks, enough):
    got = unpaired_ratio([1.0] * blocks, [2.0] * 20)
    assert (got.confidence >= 0.95) == enough
    assert got.count == blocks
