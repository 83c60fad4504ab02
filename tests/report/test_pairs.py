import math
from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import metrics, pairs

BASE, NATIVE = fake.IMPLEMENTATIONS[:2]


def timed(implementation, seconds, block, node="bench-01", length=64):
    of = fake.trial("speed", implementation, length=length, block=block)
    return fake.record(of, node, values={"sample_seconds": [seconds]})


def test_a_ratio_is_formed_inside_its_block():
    # The machine is slower in block 1; pooled medians would give 1.25 / 5.5.
    records = [timed(BASE, 1.0, 0), timed(NATIVE, 0.5, 0), timed(BASE, 10.0, 1)]
    records += [timed(NATIVE, 2.0, 1)]
    (found,) = pairs.ratios(metrics.frame(records), "seconds_per_sequence").to_dict("records")
    assert found["estimate"] == pytest.approx(math.sqrt(0.5 * 0.2))  # the mean of two logarithms
    assert (found["low"], found["high"]) == pytest.approx((0.2, 0.5))
    assert found["count"] == 2


def test_a_block_without_its_baseline_is_left_out():
    records = [timed(BASE, 1.0, 0), timed(NATIVE, 0.5, 0), timed(NATIVE, 7.0, 1)]
    (found,) = pairs.ratios(metrics.frame(records), "seconds_per_sequence").to_dict("records")
    assert (found["estimate"], found["count"]) == (pytest.approx(0.5), 1)


def test_machines_are_never_paired_with_one_another():
    records = [timed(BASE, 1.0, 0, "a"), timed(NATIVE, 0.5, 0, "b")]
    assert pairs.ratios(metrics.frame(records), "seconds_per_sequence").empty


def test_the_same_block_of_two_folders_is_two_blocks():
    one = metrics.frame([timed(BASE, 1.0, 0)], "one")
    other = metrics.frame([timed(NATIVE, 0.5, 0)], "other")
    both = metrics.pd.concat([one, other], ignore_index=True)
    assert pairs.ratios(both, "seconds_per_sequence").empty


def test_a_failed_trial_has_no_ratio():
    late = replace(timed(NATIVE, 0.5, 0), status="timeout", reason="late")
    found = pairs.ratios(metrics.frame([timed(BASE, 1.0, 0), late]), "seconds_per_sequence")
    assert found.empty


def test_too_few_blocks_give_no_verdict_and_six_do():
    def verdict(blocks):
        records = [timed(i, s, b) for b in range(blocks) for i, s in ((BASE, 1.0), (NATIVE, 0.5))]
        return pairs.ratios(metrics.frame(records), "seconds_per_sequence")["verdict"].item()

    assert [verdict(5), verdict(6)] == ["too few blocks", "faster"]


def test_time_in_proportion_to_length_has_exponent_one():
    records = [
        timed(BASE, length / 100, b, length=length) for b in (0, 1) for length in (8, 16, 32)
    ]
    (found,) = pairs.exponents(metrics.frame(records), "seconds_per_sequence").to_dict("records")
    assert found["estimate"] == pytest.approx(1.0)


def test_two_lengths_have_no_exponent():
    records = [timed(BASE, length / 100, 0, length=length) for length in (8, 16)]
    assert pairs.exponents(metrics.frame(records), "seconds_per_sequence").empty


def test_the_baseline_comes_first_and_numbers_count_by_size():
    labels = ["truncated(128)", "truncated(16)", "zz"]
    others = [replace(NATIVE, label=label) for label in labels]
    base = replace(BASE, label="zzz")
    frame = metrics.frame([timed(i, 1.0, 0) for i in [*others, base]])
    assert pairs.series_order(frame) == ["zzz", "truncated(16)", "truncated(128)", "zz"]
