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


COPY_OFF = 1.05  # what the copy takes, times the baseline


def with_copies(blocks=8, node="bench-01", off=COPY_OFF, lengths=(16, 32, 64, 128)):
    """Return the baseline, its copy, and a rival that is 3 % slower, all without noise."""
    records = []
    for block in range(blocks):
        for length in lengths:
            original = timed(BASE, 1.0, block, node, length)
            copy = replace(original, trial=replace(original.trial, replica=1))
            copy = replace(copy, values={"sample_seconds": [off]})
            records += [original, copy, timed(NATIVE, 1.03, block, node, length)]
    return records


def test_the_copy_of_the_baseline_is_no_series_and_both_are_what_a_rival_is_measured_by():
    frame = metrics.frame(with_copies())
    found = pairs.ratios(frame, "seconds_per_sequence")
    assert set(found["implementation"]) == {NATIVE.label}
    assert list(found["estimate"]) == pytest.approx([1.03 / math.sqrt(COPY_OFF)] * 4)
    medians = pairs.estimates(frame, "seconds_per_sequence")
    of_base = medians[medians["implementation"] == BASE.label]
    assert list(of_base["estimate"]) == [1.0] * 4


def test_a_copy_that_failed_leaves_its_block_to_the_baseline():
    records = with_copies(lengths=(16,))
    lost = [replace(each, status="timeout", reason="late") for each in records[1::3]]
    (found,) = pairs.ratios(
        metrics.frame([*lost, *records[0::3], *records[2::3]]), "seconds_per_sequence"
    ).to_dict("records")
    assert (found["estimate"], found["count"]) == (pytest.approx(1.03), 8)


def test_a_verdict_allows_for_what_the_node_shows_between_a_thing_and_itself():
    honest = pairs.ratios(metrics.frame(with_copies(off=1.0)), "seconds_per_sequence")
    assert (set(honest["verdict"]), set(honest["margin"])) == ({"slower"}, {0.01})
    noisy = pairs.ratios(metrics.frame(with_copies()), "seconds_per_sequence")
    assert set(noisy["verdict"]) == {"equivalent"}
    assert noisy["margin"].min() > COPY_OFF - 1


def test_the_band_of_one_node_is_not_lent_to_another():
    calm, noisy = with_copies(node="calm", off=1.0), with_copies(node="noisy")
    frame = metrics.frame([*calm, *noisy])
    found = pairs.ratios(frame, "seconds_per_sequence").drop_duplicates("node")
    assert dict(zip(found["node"], found["verdict"], strict=True)) == {
        "calm": "slower",
        "noisy": "equivalent",
    }
    allowed = pairs.margins(frame, "seconds_per_sequence").set_index("node")
    assert dict(allowed["pairs"]) == {"calm": 4, "noisy": 4}


def test_without_copies_the_margin_is_one_percent():
    frame = metrics.frame([r for r in with_copies() if not r.trial.replica])
    assert pairs.margins(frame, "seconds_per_sequence").empty
    assert set(pairs.ratios(frame, "seconds_per_sequence")["margin"]) == {0.01}


def test_copies_are_shown_as_ratios_to_what_they_copy():
    found = pairs.copies(metrics.frame(with_copies()), "seconds_per_sequence")
    assert list(found["estimate"]) == pytest.approx([COPY_OFF] * 4)


def test_the_baseline_comes_first_and_numbers_count_by_size():
    labels = ["truncated(128)", "truncated(16)", "zz"]
    others = [replace(NATIVE, label=label) for label in labels]
    base = replace(BASE, label="zzz")
    frame = metrics.frame([timed(i, 1.0, 0) for i in [*others, base]])
    assert pairs.series_order(frame) == ["zzz", "truncated(16)", "truncated(128)", "zz"]
