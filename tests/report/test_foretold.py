"""Estimates are held against what trials took."""

from dataclasses import replace

import fake_records as fake
import pytest

from harness.forecast.expected import Expected
from harness.report import content, foretold
from harness.report.content import Source

SMALL = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=2)
RECORDS = fake.records(SMALL)  # each takes 60 s


def expected(seconds=30.0, peak=1e5):
    return {record.trial.id: Expected(seconds, peak) for record in RECORDS}


def table(records=RECORDS, estimates=None):
    rows = foretold.rows(records, expected() if estimates is None else estimates, "quick")
    return foretold.table(rows, ["full_bptt", "native"], "12 probe timings")


def test_each_implementation_has_its_sums_and_its_ratio():
    found = table().data
    first = found[found["measurement"] == "speed"].iloc[0]
    assert (first["implementation"], first["trials"]) == ("full_bptt", 4)
    assert (first["expected_seconds"], first["seconds"]) == (120.0, 240.0)
    assert first["seconds_ratio"] == pytest.approx(2.0)
    assert first["seconds_ratio_low"] == first["seconds_ratio_high"]


def test_the_spread_is_of_trials_and_holds_nine_of_ten():
    estimates = {r.trial.id: Expected(60.0 / (1 + r.trial.block), None) for r in RECORDS}
    found = table(estimates=estimates).data.iloc[0]
    assert (found["seconds_ratio_low"], found["seconds_ratio_high"]) == pytest.approx((1, 2))


def test_memory_is_told_where_it_was_measured():
    found = table().data
    known = found[found["measurement"] == "memory"]
    assert (known["peak_ratio"] > 0).all()
    assert found[found["measurement"] != "memory"]["peak_ratio"].isna().all()
    shown = table().shown()
    assert set(shown[shown["measurement"] == "speed"]["peak memory / estimated"]) == {"–"}  # noqa: RUF001


def test_what_failed_or_was_not_estimated_is_left_out():
    failed = [replace(record, status="oom") for record in RECORDS[:3]]
    some = {name: one for name, one in list(expected().items())[:10]}
    assert len(foretold.rows([*failed, *RECORDS[3:]], some, "quick")) == 7


def test_a_report_says_what_was_foretold_and_a_folder_without_says_so():
    source = Source("quick", "", "", tuple(RECORDS), 0, "bptt sweep quick")
    kept = replace(source, expected=expected(), basis="12 probe timings")
    sections = {one.key: one for one in content.gather([kept, source]).sections}
    (made,) = sections["estimate"].tables
    assert f"these {len(RECORDS)} trials were expected to take" in made.note
    assert "rested on 12 probe timings." in made.note
    assert set(made.data["results"]) == {"quick"}
    without = {one.key: one for one in content.gather([source]).sections}["estimate"]
    assert (without.tables, without.missing) == ((), "No estimate was kept.")
