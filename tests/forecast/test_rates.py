"""Rates are found from timings that follow them, and foretell what was not timed."""

import math
import random

import pytest
from demands import demand

from harness.forecast.rates import STEP_SECONDS, Rates, Timing

FULL, CUT = ("full", "lstm", "cpu", "float32", "1"), ("cut", "lstm", "cpu", "float32", "1")
OTHER = ("full", "gru", "cpu", "float32", "1")
STEPS = {FULL: 150e-6, CUT: 240e-6, OTHER: 60e-6}


def truth(series, length, width=32):
    """Return what a machine of these rates takes: 2 ms, so much a step, 20 GFLOP a second."""
    made = demand(length, width)
    return 2e-3 + STEPS[series] * made.depth + made.flops / 20e9


def timings(noise=0.0, series=tuple(STEPS), widths=(32, 256), lengths=(64, 256)):
    chance = random.Random(0)
    return [
        Timing(
            name,
            demand(length, width),
            truth(name, length, width) * chance.lognormvariate(0, noise),
        )
        for name in series
        for width in widths
        for length in lengths
    ]


@pytest.mark.parametrize(("noise", "off"), [(0.0, 0.02), (0.03, 0.1)], ids=["exact", "noisy"])
@pytest.mark.parametrize("series", STEPS, ids=lambda series: "-".join(series[:2]))
def test_the_longest_and_widest_are_foretold_from_short_and_narrow_ones(noise, off, series):
    rates = Rates.of(timings(noise))
    got = rates.seconds(series, demand(4096, 128))
    assert got == pytest.approx(truth(series, 4096, 128), rel=off)


def test_no_rate_is_negative_though_long_sequences_were_too_fast():
    odd = [Timing(FULL, demand(64), 0.02), Timing(FULL, demand(256), 0.015)]
    rates = Rates.of(odd)
    assert min(rates.begin, rates.flop, *rates.steps.values()) >= 0
    assert rates.seconds(FULL, demand(4096)) > 0


def test_a_series_that_was_not_timed_is_like_others_on_its_cell():
    rates = Rates.of(timings(series=(FULL, OTHER)))
    assert rates.seconds(CUT, demand(512)) == pytest.approx(truth(FULL, 512), rel=0.02)


def test_without_timings_there_are_the_rates_of_the_reference_run():
    made = demand(512)
    got = Rates.of([]).seconds(FULL, made)
    assert got == pytest.approx(STEP_SECONDS * made.depth, rel=0.5)
    assert math.isfinite(got)
