import math

import numpy as np
import pytest
from scipy import stats as reference

from harness.stats import Interval, offset_power_law, power_law

RNG_SEED = 20260101


def covered(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


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


def test_a_law_that_fits_has_no_misfit_and_a_cliff_has():
    lengths = [16, 32, 64, 128, 256]
    smooth = [3.0 * n**1.5 for n in lengths]
    cliff = [value * (1.6 if n > 64 else 1.0) for n, value in zip(lengths, smooth, strict=True)]
    assert power_law(lengths, smooth).misfit < 1e-9
    assert power_law(lengths, cliff).misfit > 0.1


# ------------------------------------------------------------------------------ with an overhead

LENGTHS = 2.0 ** np.arange(4, 11)


def timed(rng, blocks, noise, overhead=2.0, power=1.0):
    times = overhead + 0.05 * LENGTHS**power
    return list(times * rng.lognormal(0, noise, (blocks, len(LENGTHS))))


def test_overhead_and_power_are_recovered_without_noise():
    got = offset_power_law(LENGTHS, [2.0 + 0.05 * LENGTHS**1.3] * 6)
    assert got.exponent.estimate == pytest.approx(1.3, rel=1e-4)
    assert got.overhead.estimate == pytest.approx(2.0, rel=1e-3)
    assert got.scale == pytest.approx(0.05, rel=1e-3)
    assert got.misfit < 1e-4


def test_an_overhead_lowers_the_pure_exponent_and_not_the_one_beside_it():
    blocks = timed(np.random.default_rng(RNG_SEED), 8, 0.005)
    pure, offset = power_law(LENGTHS, blocks), offset_power_law(LENGTHS, blocks)
    assert pure.exponent.high < 0.9
    assert pure.misfit > 0.1
    assert covered(offset.exponent, 1.0)
    assert covered(offset.overhead, 2.0)


def test_the_power_beside_an_overhead_covers_the_truth():
    rng = np.random.default_rng(RNG_SEED)
    laws = [offset_power_law(LENGTHS, timed(rng, 6, 0.01)) for _ in range(60)]
    hits = [covered(law.exponent, 1.0) and covered(law.overhead, 2.0) for law in laws]
    # each covers in 1 - 2 / 64; both, at the worst, in 1 - 4 / 64; 4 standard errors of 60
    assert np.mean(hits) > 1 - 4 / 64 - 4 * math.sqrt(0.06 * 0.94 / 60)


@pytest.mark.parametrize(
    "times",
    [np.where(LENGTHS < 100, LENGTHS, 2 * LENGTHS), 1 + np.sin(LENGTHS)],
    ids=["a cliff", "no growth at all"],
)
def test_a_curve_of_another_shape_shows_as_misfit_or_gives_none(times):
    got = offset_power_law(LENGTHS, [times] * 6)
    assert got is None or got.misfit > 0.1


def test_four_unknown_and_three_lengths_give_no_law_with_overhead():
    assert offset_power_law([16, 32, 64], [[1.0, 2.0, 4.0]] * 6) is None


def test_one_block_has_a_law_and_no_confidence_in_it():
    got = offset_power_law(LENGTHS, timed(np.random.default_rng(RNG_SEED), 1, 0.001))
    assert got.exponent.confidence == 0.0


def test_scatter_of_the_blocks_is_no_misfit():
    blocks = timed(np.random.default_rng(RNG_SEED), 6, 0.1, overhead=0.0)
    assert power_law(LENGTHS, blocks).misfit < 0.05
    assert power_law(LENGTHS, blocks[:1]).misfit > 0.05  # of one block, scatter passes for shape
