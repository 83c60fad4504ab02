import numpy as np
import pytest

from harness import stats
from harness.stats import Interval, paired_ratio
from harness.stats.location import centres

RNG_SEED = 20260101


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


# ------------------------------------------------------------------------------ the A/A band

POINTS, BLOCKS = 4, 8


def simulated(rng, trials, points, stays, process=0.003, effect=1.0):
    """Return log ratios copy / original and rival / original.  # (trials, points, blocks) each

    Each of the three has a difference that stays (sd `stays`) and one that its process drew.
    """
    shape = (3, trials, points)
    fixed = rng.normal(0, stays, (*shape, 1))
    original, copy, rival = fixed + rng.normal(0, process, (*shape, BLOCKS))
    return copy - original, rival - original + np.log(effect)


def share_called_different(rng, banded, **truth):
    """Return the share of rivals that are called faster or slower than the original."""
    copies, rivals = simulated(rng, **truth)
    found = centres(rivals.reshape(-1, BLOCKS).T)
    lows, highs = (np.exp(end).reshape(rivals.shape[:2]) for end in (found.low, found.high))
    calls = []
    for copy, low, high in zip(copies, lows, highs, strict=True):
        margin = stats.margin_of(stats.noise_band(list(np.exp(copy))) if banded else None)
        rows = [Interval(1.0, *ends, 0.96, BLOCKS) for ends in zip(low, high, strict=True)]
        calls += [stats.verdict(row, margin) in ("faster", "slower") for row in rows]
    return np.mean(calls)


@pytest.mark.parametrize("stays", [0.005, 0.03], ids=["half a percent stays", "3 percent stay"])
@pytest.mark.parametrize("points", [2, 6])
def test_the_band_keeps_the_false_alarms_of_differences_that_stay_to_five_percent(points, stays):
    rng = np.random.default_rng(RNG_SEED)
    wrong = share_called_different(rng, True, trials=1200 // points, points=points, stays=stays)
    assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / (1200 // points))  # 3 standard errors


def test_without_the_band_a_difference_that_stays_passes_for_a_finding():
    rng = np.random.default_rng(RNG_SEED)
    wrong = share_called_different(rng, False, trials=100, points=POINTS, stays=0.03)
    assert wrong > 0.6


@pytest.mark.parametrize("process", [0.001, 0.006], ids=["calm", "usual"])
def test_where_nothing_stays_three_percent_are_found_in_nine_sweeps_of_ten(process):
    rng = np.random.default_rng(RNG_SEED)
    truth = {"points": POINTS, "stays": 0.0, "process": process}
    assert share_called_different(rng, True, trials=100, effect=1.03, **truth) >= 0.9
    assert share_called_different(rng, True, trials=100, effect=1.0, **truth) == 0.0


def test_one_wild_block_does_not_widen_the_band():
    calm = np.exp(np.random.default_rng(RNG_SEED).normal(0, 0.001, (POINTS, BLOCKS)))
    wild = calm.copy()
    wild[0, 3] = 1.5  # a preempted process
    bands = [stats.noise_band(list(ratios)) for ratios in (calm, wild)]
    assert [band is not None and stats.margin_of(band) for band in bands] == [0.01, 0.01]


def test_the_band_of_a_copy_that_is_always_two_percent_off_is_wider_than_that():
    band = stats.noise_band([[1.02] * BLOCKS] * POINTS)
    assert band is not None
    assert band.pairs == POINTS
    # Student's t of 4 pairs, 2.776, times the root mean square of log 1.02
    assert band.width == pytest.approx(1.02**2.7764451 - 1)


@pytest.mark.parametrize("ratios", [[], [[1.2]]], ids=["no copy", "one block"])
def test_without_repeated_copies_the_margin_is_one_percent(ratios):
    assert stats.noise_band(ratios) is None
    assert stats.margin_of(None) == 0.01
