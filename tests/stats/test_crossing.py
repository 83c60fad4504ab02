import numpy as np
import pytest

from harness.stats import crossings

RNG_SEED = 20260101
LENGTHS = 2.0 ** np.arange(4, 11)  # 16 .. 1024
TRUTH = 200.0


def blocks_of(rng, times, noise=0.02, blocks=8, drift=0.1):
    """Return `times` in every block, each slower or faster as a whole, with noise of its own."""
    whole = rng.lognormal(0, drift, (blocks, 1))
    return list(whole * times * rng.lognormal(0, noise, (blocks, len(times))))


def crossing_at(truth):
    """Return the times of a method with overhead, and of one without, equal at `truth`."""
    base = 1.0 * LENGTHS
    return 0.5 * LENGTHS + 0.5 * truth, base


def found(rng, new, base, **noise):
    """Return the crossings of two methods timed in the same blocks."""
    seeds = rng.integers(2**32)
    pair = (np.random.default_rng(seeds), np.random.default_rng(seeds))
    shared = noise.pop("drift", 0.1)
    whole = pair[0].lognormal(0, shared, (8, 1))
    return crossings(
        LENGTHS,
        list(whole * blocks_of(rng, new, drift=0.0, **noise)),
        list(whole * blocks_of(rng, base, drift=0.0, **noise)),
    )


def test_the_crossing_of_exact_times_is_found():
    # Straight over log T between 128 and 256, the log ratio is 0 within 3 % of the truth.
    new, base = crossing_at(TRUTH)
    got = crossings(LENGTHS, [new] * 8, [base] * 8)
    (only,) = got.found
    assert got.outcome == "crosses"
    assert only.length.estimate == pytest.approx(TRUTH, rel=0.03)
    assert only.cheaper_before == "base"
    assert only.measured == pytest.approx((128, 256))


def test_the_interval_covers_the_crossing_whatever_a_block_as_a_whole_does():
    rng = np.random.default_rng(RNG_SEED)
    # A log ratio that is straight over log T, so that interpolating is no part of the error.
    new, base = LENGTHS * (LENGTHS / TRUTH) ** 0.3, LENGTHS
    got = [found(rng, new, base, noise=0.02, drift=0.3) for _ in range(150)]
    (spans,) = {len(one.found) for one in got}
    assert spans == 1
    hits = [one.found[0].length.low <= TRUTH <= one.found[0].length.high for one in got]
    assert np.mean(hits) > 0.96 - 4 * np.sqrt(0.96 * 0.04 / 150)
    widths = [one.found[0].length.high / one.found[0].length.low for one in got]
    assert np.median(widths) < 1.25  # it says something


def test_swapping_the_rivals_swaps_who_is_cheaper_and_nothing_else():
    rng = np.random.default_rng(RNG_SEED)
    new, base = (blocks_of(rng, times) for times in crossing_at(TRUTH))
    (there,), (back,) = (crossings(LENGTHS, *pair).found for pair in ((new, base), (base, new)))
    assert there.length == pytest.approx(back.length) or (
        there.length.low == pytest.approx(back.length.low)
        and there.length.high == pytest.approx(back.length.high)
    )
    assert {there.cheaper_before, back.cheaper_before} == {"new", "base"}


def test_curves_that_do_not_cross_are_not_within_the_range():
    rng = np.random.default_rng(RNG_SEED)
    got = found(rng, 0.5 * LENGTHS, 1.0 * LENGTHS)
    assert (got.found, got.outcome) == ((), "not within the range")


def test_a_crossing_beyond_the_longest_length_is_not_made_up():
    rng = np.random.default_rng(RNG_SEED)
    got = found(rng, *crossing_at(4000.0))
    assert (got.found, got.outcome) == ((), "not within the range")


def test_equals_are_undecided_and_seldom_said_to_cross():
    rng = np.random.default_rng(RNG_SEED)
    outcomes = [found(rng, LENGTHS, LENGTHS).outcome for _ in range(150)]
    assert outcomes.count("crosses") <= 0.05 * len(outcomes)
    assert outcomes.count("undecided") > 0.9 * len(outcomes)


def test_curves_that_cross_twice_give_both_places():
    rng = np.random.default_rng(RNG_SEED)
    bowl = LENGTHS * np.exp(0.2 * (np.abs(np.log2(LENGTHS) - 7) - 1.5))
    got = found(rng, bowl, LENGTHS)
    assert [one.cheaper_before for one in got.found] == ["base", "new"]
    places = [one.length.estimate for one in got.found]
    assert places == pytest.approx([2**5.5, 2**8.5], rel=0.1)


def test_where_a_curve_jumps_the_truth_lies_between_the_measured_lengths():
    # Equal but for a cache that overflows at 130: interpolation cannot know, and says as much.
    rng = np.random.default_rng(RNG_SEED)
    jump = np.where(LENGTHS <= 130, 0.8, 1.5) * LENGTHS
    (only,) = found(rng, jump, LENGTHS, noise=0.002).found
    assert only.length.low > 130  # the straight line misses
    assert only.measured[0] <= 130 <= only.measured[1]


def test_pairing_blocks_that_are_not_the_same_loses_the_crossing():
    rng = np.random.default_rng(RNG_SEED)
    new, base = (blocks_of(rng, times, drift=0.5) for times in crossing_at(TRUTH))
    assert crossings(LENGTHS, new, base).outcome == "undecided"  # drift no longer cancels
    assert found(rng, *crossing_at(TRUTH), drift=0.5).outcome == "crosses"


@pytest.mark.parametrize(("blocks", "lengths"), [(5, LENGTHS), (8, LENGTHS[:1])], ids=["5", "1 T"])
def test_too_few_blocks_or_lengths_give_no_crossing(blocks, lengths):
    series = [lengths] * blocks
    assert crossings(lengths, series, series).outcome == "too few blocks"


def test_series_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="new has 2 entries a block for 3 lengths"):
        crossings([1, 2, 3], [[1.0, 2.0]], [[1.0, 2.0, 3.0]])
