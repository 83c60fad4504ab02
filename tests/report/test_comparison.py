from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from compared_runs import BASE, BLOCKS, LENGTHS, NATIVE, PROCESS, TRUNCATED, changed, run

from harness import stats
from harness.report.compare import Run, Threshold, compare, judged, undecidable

SPEED = (Threshold("speed", 0.03),)


def verdicts(compared, measure="speed"):
    return {
        (row.implementation, row.named["sequence_length"]): row.verdict
        for row in compared.rows
        if row.measure == measure
    }


def floorless(of, which=lambda record: True, only=None):
    """Return the run with the floor missing from `which` records; only of one implementation."""
    return replace(
        of,
        records=tuple(
            replace(r, values={**r.values, "floor_seconds": None}) if which(r) else r
            for r in of.records
            if only is None or r.trial.implementation == only
        ),
    )


def estimates(compared, of):
    return [np.log(of(row).estimate) for row in compared.rows]


# ------------------------------------------------------------------------------ moments


@pytest.mark.parametrize("seed", range(3))
def test_a_machine_that_is_five_percent_slower_is_no_regression(seed):
    compared = compare(run(seed), run(seed + 100, machine=1.05))
    assert set(verdicts(compared).values()) <= {"equivalent", "inconclusive"}
    assert judged(compared, SPEED) == ()


def test_the_time_as_it_was_would_have_called_it_one():
    # The control: what judging by plain seconds, also shown, would have said.
    compared = compare(run(0), run(100, machine=1.05))
    plain = [row.as_it_was for row in compared.rows]
    assert np.mean([interval.estimate for interval in plain]) == pytest.approx(1.05, rel=0.03)
    assert {row.yardstick for row in compared.rows} == {"floor_ratio"}


@pytest.mark.parametrize("seed", range(3))
def test_one_method_that_became_ten_percent_slower_is_found_and_only_it(seed):
    slow = run(seed + 100, machine=0.95, times={NATIVE.label: 1.1})
    found = judged(compare(run(seed), slow), SPEED)
    assert {one.found.implementation for one in found} == {NATIVE.label}
    assert len(found) == len(LENGTHS)
    assert all(one.found.ratio.low < 1.1 < one.found.ratio.high for one in found)


def test_over_many_runs_neither_is_missed_and_nothing_is_made_up():
    # What `compare` does with one point, 500 times: the machine 5 % slower, then 10 % planted too.
    rng = np.random.default_rng(20260101)
    ratios = np.exp(rng.normal(0, PROCESS * np.sqrt(2), (2, 500, BLOCKS)))  # method over floor
    for planted, want in ((1.0, 0.0), (1.1, 1.0)):
        lows = [stats.paired_ratio(planted * n, b).low for n, b in zip(*ratios, strict=True)]
        assert np.mean(np.array(lows) > 1.03) == pytest.approx(want, abs=0.002)


def test_a_baseline_that_became_slower_is_itself_the_finding_and_nobody_elses():
    compared = compare(run(0), run(100, times={BASE.label: 1.1}))
    slower = {name for (name, _), verdict in verdicts(compared).items() if verdict == "slower"}
    assert slower == {BASE.label}
    assert "faster" not in verdicts(compared).values()
    beside = [row.against_baseline for row in compared.rows if row.implementation == NATIVE.label]
    assert max(one.high for one in beside) < 0.95  # which the ratio to the baseline calls faster


# ------------------------------------------------------------------------------ what it cannot see


def test_a_machine_slower_at_everything_but_products_passes_for_a_regression():
    # The floor's assumption broken, as when Python alone became slower: the docstring says so.
    everything = dict.fromkeys((BASE.label, NATIVE.label, TRUNCATED.label), 1.08)
    compared = compare(run(0), run(100, times=everything))
    assert set(verdicts(compared).values()) == {"slower"}
    against = [r.against_baseline for r in compared.rows if r.implementation != BASE.label]
    assert all(one.low < 1.01 for one in against)  # the column beside it tells the two apart


def test_without_a_floor_the_baselines_time_takes_its_place():
    slow = run(100, machine=1.05, times={NATIVE.label: 1.1})
    compared = compare(floorless(run(0)), floorless(slow))
    assert {row.yardstick for row in compared.rows} == {"baseline_ratio"}
    assert {one.found.implementation for one in judged(compared, SPEED)} == {NATIVE.label}


def test_the_baseline_is_not_judged_over_itself():
    # A row that is 1 whatever happened, or its copy's noise, would be a check that cannot fail.
    slow = run(100, times={BASE.label: 1.1})
    compared = compare(floorless(run(0)), floorless(slow))
    assert {row.implementation for row in compared.rows} == {NATIVE.label, TRUNCATED.label}
    beside = [r for r in compare(run(0), slow).rows if r.implementation == BASE.label]
    assert len(beside) == len(LENGTHS)  # over the floor it is
    assert {row.against_baseline for row in beside} == {None}


def test_a_baseline_without_floor_or_company_is_judged_as_it_is():
    alone = [
        floorless(of, lambda r: True, only=BASE) for of in (run(0), run(9, times={BASE.label: 2}))
    ]
    compared = compare(*alone)
    assert {row.yardstick for row in compared.rows} == {"seconds_per_sequence"}
    assert set(verdicts(compared).values()) == {"slower"}


def test_what_has_no_floor_is_judged_by_the_baseline_and_nothing_else_is():
    def longest_native(record):
        of = record.trial
        return of.implementation == NATIVE and of.sequence_length == max(LENGTHS)

    compared = compare(run(0), floorless(run(100, times={BASE.label: 1.1}), longest_native))
    by = {(r.implementation, r.named["sequence_length"]): r.yardstick for r in compared.rows}
    assert {key for key, one in by.items() if one == "baseline_ratio"} == {
        (NATIVE.label, max(LENGTHS))
    }
    assert Counter(by.values()) == {"floor_ratio": 5, "baseline_ratio": 1}
    assert verdicts(compared)[BASE.label, min(LENGTHS)] == "slower"  # by its own floor still


def test_the_baseline_of_a_block_is_the_one_that_reports_divide_by():
    base, new = floorless(run(0)), floorless(run(100))

    def seconds(of, implementation, replica=0):
        return np.array(
            [
                r.values["sample_seconds"][0]
                for r in of.records
                if r.trial.implementation == implementation
                and (r.trial.replica, r.trial.sequence_length) == (replica, LENGTHS[0])
            ]
        )

    over, over_one = (
        [seconds(of, NATIVE) / base_of(of) for of in (base, new)]
        for base_of in (
            lambda of: np.sqrt(seconds(of, BASE) * seconds(of, BASE, replica=1)),
            lambda of: seconds(of, BASE),
        )
    )
    want, without = (stats.paired_ratio(now, old) for old, now in (over, over_one))
    row = next(r for r in compare(base, new).rows if r.implementation == NATIVE.label)
    assert row.ratio.estimate == pytest.approx(want.estimate, rel=1e-9)
    assert row.ratio.estimate != pytest.approx(without.estimate, rel=1e-6)


# ------------------------------------------------------------------------------ what is paired


def test_the_same_machine_is_paired_by_block_and_another_is_not():
    there = compare(run(0), run(100, node="bench-02"))
    here = compare(run(0), run(100))
    assert {row.paired for row in here.rows} == {True}
    assert {row.paired for row in there.rows} == {False}
    assert [one.what for one in there.machines] == ["node"]
    widths = [[row.ratio.high / row.ratio.low for row in one.rows] for one in (here, there)]
    assert np.mean(widths[1]) > np.mean(widths[0])


def test_another_version_of_torch_makes_it_another_machine():
    new = run(100)
    environment = {**new.records[0].environment, "torch": "2.14.0"}
    compared = compare(run(0), changed(new, environment=environment))
    assert [str(one) for one in compared.machines] == ["torch: 2.13.0 in BASE, 2.14.0 in NEW"]
    assert {row.paired for row in compared.rows} == {False}


def test_blocks_that_only_one_run_has_are_left_out_of_pairs():
    compared = compare(run(0, blocks=8), run(100, blocks=12))
    assert {row.ratio.count for row in compared.rows} == {8}


def test_copies_of_the_baseline_set_the_margin_and_are_no_row():
    compared = compare(run(0), run(100))
    assert len(compared.rows) == 3 * len(LENGTHS)
    off = tuple(
        replace(r, values={**r.values, "sample_seconds": [1.05 * r.values["sample_seconds"][0]]})
        if r.trial.replica
        else r
        for r in run(100).records
    )
    noisy = compare(run(0), Run("noisy", off))
    assert {row.margin for row in compared.rows} == {0.01}
    assert min(row.margin for row in noisy.rows) > 0.05


def test_five_blocks_decide_nothing():
    compared = compare(run(0, blocks=5), run(100, blocks=5, times={NATIVE.label: 3.0}))
    assert set(verdicts(compared).values()) == {"too few blocks"}
    assert judged(compared, SPEED) == ()
    assert len(undecidable(compared, SPEED)) == len(compared.rows)


# ------------------------------------------------------------------------------ what else changed


def test_a_changed_source_is_named_and_marks_its_rows_and_no_others():
    def sourced(of, digest):
        return replace(
            of,
            records=tuple(
                replace(r, trial=replace(r.trial, sources=sources(r, digest))) for r in of.records
            ),
        )

    def sources(record, digest):
        key = f"gradients/{record.trial.implementation.gradient.use}"
        return {key: digest if key == "gradients/native" else "same"}

    compared = compare(sourced(run(0), "aaaa"), sourced(run(100), "bbbb"))
    assert [str(one) for one in compared.plugins] == [
        "source of gradients/native: aaaa in BASE, bbbb in NEW"
    ]
    marked = {row.implementation for row in compared.rows if row.changed}
    assert marked == {NATIVE.label}


def test_commit_and_protocol_are_named_where_they_differ():
    new = run(100)
    environment = {**new.records[0].environment, "commit": "fedcba9876543", "dirty": True}
    records = tuple(
        replace(r, trial=replace(r.trial, protocol={"min_samples": 5}), environment=environment)
        for r in new.records
    )
    compared = compare(run(0), Run("new", records))
    assert [one.what for one in compared.others] == ["commit", "protocol of speed"]
    assert compared.others[0].new == "fedcba9876 with changes that no commit holds"


def test_what_is_in_one_run_only_is_listed():
    fewer = run(100)
    kept = tuple(
        r
        for r in fewer.records
        if r.trial.implementation != TRUNCATED and r.trial.sequence_length == 64
    )
    compared = compare(run(0), Run("fewer", kept))
    assert len(compared.only_base) == 3
    assert compared.only_new == ()
    assert any(
        line.startswith(TRUNCATED.label) and "2 points" in line for line in compared.only_base
    )


def test_a_renamed_implementation_is_still_the_same_one():
    renamed = replace(NATIVE, label="cuDNN's")
    records = tuple(
        replace(r, trial=replace(r.trial, implementation=renamed))
        if r.trial.implementation == NATIVE
        else r
        for r in run(100).records
    )
    compared = compare(run(0), Run("renamed", records))
    assert (compared.only_base, compared.only_new) == ((), ())
    assert Counter(row.implementation for row in compared.rows)["cuDNN's"] == len(LENGTHS)


# ------------------------------------------------------------------------------ failures


def failing(of, blocks):
    return replace(
        of,
        records=tuple(
            replace(r, status="oom", reason="asked 2 GiB", values={})
            if r.trial.implementation == NATIVE and r.trial.block in blocks
            else r
            for r in of.records
        ),
    )


def test_what_cannot_be_done_any_more_is_infinitely_slower():
    compared = compare(run(0), failing(run(100), range(BLOCKS)))
    assert {one.status for one in compared.lost} == {"oom"}
    assert len(judged(compared, SPEED)) == len(LENGTHS)
    assert judged(compared, (Threshold("memory", 0.05),)) == ()


def test_the_reason_told_is_of_a_trial_that_was_run_where_one_was():
    lost = failing(run(100), range(BLOCKS))
    implied = replace(
        lost,
        records=tuple(
            replace(r, reason="implied: ...", values={"implied_by": "0123"})
            if r.status == "oom" and r.trial.block == 0
            else r
            for r in lost.records
        ),
    )
    assert {one.reason for one in compare(run(0), implied).lost} == {"asked 2 GiB"}


def test_one_failed_block_of_eight_is_no_loss():
    compared = compare(run(0), failing(run(100), [3]))
    assert compared.lost == ()
    assert judged(compared, SPEED) == ()


def test_what_can_be_done_again_is_no_regression():
    compared = compare(failing(run(0), range(BLOCKS)), run(100))
    assert len(compared.regained) == len(LENGTHS)
    assert judged(compared, SPEED) == ()


# ------------------------------------------------------------------------------ thresholds


@pytest.mark.parametrize("text", ["speed:10%", " speed : 10 % ", "speed:10.0%"])
def test_a_threshold_is_a_measure_and_a_percentage(text):
    assert Threshold.parse(text) == Threshold("speed", 0.1)


@pytest.mark.parametrize("text", ["", "speed", "speed:10", "sped:10%", "speed:-1%", "memory:x%"])
def test_what_is_no_threshold_is_refused_with_the_form_it_should_have(text):
    with pytest.raises(ValueError, match=r"write speed:10% or memory:5%"):
        Threshold.parse(text)


def test_an_interval_that_only_reaches_beyond_the_threshold_is_no_regression():
    compared = compare(run(0), run(100, times={NATIVE.label: 1.1}))
    rows = [row for row in compared.rows if row.implementation == NATIVE.label]
    at = np.mean([row.ratio.estimate for row in rows]) - 1
    assert judged(compared, (Threshold("speed", float(at)),)) == ()
    assert len(judged(compared, (Threshold("speed", float(at) - 0.02),))) == len(LENGTHS)
