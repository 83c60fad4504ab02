"""A report calls its series as the resolved sweep does, whatever the records say."""

from sweeps import SMALL, sweep_of, trials_of

from harness.sweep import described, relabelled, resolved
from harness.trial import Record


def test_a_renamed_series_and_a_moved_baseline_reach_the_old_records() -> None:
    renamed = SMALL.replace('name = "full"', 'name = "whole"').replace("baseline = true\n", "")
    text = resolved(sweep_of(renamed + "baseline = true\n"))
    old = [Record(each.trial, "done") for each in trials_of(SMALL)]
    new = relabelled(old, text)
    assert {(r.trial.implementation.label, r.trial.implementation.baseline) for r in new} == {
        ("whole", False),
        ("truncated_bptt(stride=8, depth=8)", False),
        ("truncated_bptt(stride=8, depth=16)", False),
        ("native + norm(max_norm=1.0)", True),
    }
    assert [record.trial.id for record in new] == [record.trial.id for record in old]


def test_without_a_sweep_file_records_keep_their_names() -> None:
    old = [Record(trials_of(SMALL)[0].trial, "done")]
    assert relabelled(old, "") == tuple(old)
    assert described("not = [toml") == ""
