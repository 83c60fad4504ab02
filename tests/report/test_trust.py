from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import metrics, trust
from harness.trial import STATUSES

SMALL = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=3)


def facts(records, unreadable_lines=0):
    return trust.trust(metrics.frame(records), records, unreadable_lines)


def test_every_status_is_counted():
    records = fake.with_failures(SMALL)
    known = dict(facts(records).facts)
    assert known["measured"] == f"{len(records) - 6} of {len(records)} trials"
    assert known["not measured"] == ", ".join(f"1 {s}" for s in STATUSES if s != "done")


def test_what_is_implied_is_no_observation_and_counted_apart():
    records = fake.records(SMALL)
    ran, *others = [i for i, one in enumerate(records) if one.trial.measurement == "memory"][:3]
    records[ran] = replace(records[ran], status="oom", reason="asked 2 GiB", values={})
    for place in others:
        values = {"implied_by": records[ran].trial.id}
        records[place] = replace(
            records[place], status="oom", reason="implied: ...", values=values, environment={}
        )
    assert dict(facts(records).facts)["not measured"] == "3 oom (2 of them implied)"
    table = trust.failures(metrics.frame(records))
    assert [row["trials"] for row in table.shown().to_dict("records")] == ["2", "1"]
    assert "What is implied was not run" in table.note
    assert "implied" not in trust.failures(metrics.frame(fake.with_failures(SMALL))).note


def test_failures_are_grouped_by_cause_with_the_command_that_looks_closer():
    records = fake.records(SMALL)
    records = [replace(r, status="oom", reason="asked 2 GiB", advice="shorten T") for r in records]
    table = trust.failures(metrics.frame(records))
    (row,) = table.shown().to_dict("records")
    assert (row["trials"], row["reason"], row["what to do"]) == (
        str(len(records)),
        "asked 2 GiB",
        "shorten T",
    )
    assert row["look closer"].removeprefix("bptt show ") in {r.trial.id for r in records}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"node": "other", "environment": {**fake.ENVIRONMENT, "cpu_model": "another"}},
            "Records of 2 machines",
        ),
        ({"environment": {**fake.ENVIRONMENT, "dirty": True}}, "no commit holds"),
    ],
    ids=["machines", "dirty"],
)
def test_a_reader_is_warned(change, words):
    records = fake.records(SMALL)
    records[0] = replace(records[0], **change)
    assert [warning for warning in facts(records).warnings if words in warning]


def test_unreadable_lines_are_counted():
    assert "2 lines of the journal" in facts(fake.records(SMALL), unreadable_lines=2).warnings[0]


def test_a_clean_sweep_has_no_warning():
    assert facts(fake.records(SMALL)).warnings == ()


def test_a_machine_is_named_once():
    assert len(trust.machines(fake.records(SMALL))) == 1
