"""Blocks that ran on several nodes alike are blocks of one machine."""

from dataclasses import replace

import fake_records as fake
import pytest

from harness.report.metrics import frame


def moved(records, **environment):
    """Return the records with every other block on a second node."""
    return [
        replace(each, node="bench-02", environment={**each.environment, **environment})
        if each.trial.block % 2
        else each
        for each in records
    ]


def test_blocks_on_nodes_alike_are_pooled() -> None:
    table = frame(moved(fake.records()))
    assert set(table["node"]) == {"bench-01 and 1 alike"}


def test_blocks_on_another_processor_are_not() -> None:
    table = frame(moved(fake.records(), cpu_model="another"))
    assert set(table["node"]) == {"bench-01", "bench-02"}


def test_a_block_that_was_split_stays_with_its_nodes() -> None:
    records = [
        each if each.trial.implementation.baseline else replace(each, node="bench-02")
        for each in fake.records()
    ]
    table = frame(records)
    timed = table[table["measurement"] == "speed"]
    assert set(timed["node"]) == {"bench-01", "bench-02"}


def implied(source, **changes):
    """Return what an oom on the source's node says of a trial that nothing ran for."""
    values = {"implied_by": source.trial.id}
    return replace(source, status="oom", values=values, environment={}, **changes)


def test_what_was_not_run_is_where_others_of_its_node_are_and_splits_no_block() -> None:
    records = moved(fake.records())
    last = next(each for each in records if each.trial.block and each.trial.measurement == "speed")
    other = {"bench-01": "bench-02", "bench-02": "bench-01"}[last.node]
    records[records.index(last)] = implied(last, node=other)
    assert set(frame(records)["node"]) == {"bench-01 and 1 alike"}


@pytest.mark.parametrize(
    ("change", "places"),
    [({}, {"bench-01 and 1 alike"}), ({"cpu_model": "another"}, {"bench-01", "bench-02", ""})],
    ids=["the only place", "one of two"],
)
def test_what_the_sweep_leaves_out_is_in_the_only_place_there_is(change, places) -> None:
    records = moved(fake.records(), **change)
    left_out = {"status": "skipped", "environment": {}, "node": ""}
    assert set(frame([replace(records[0], **left_out), *records[1:]])["node"]) == places
