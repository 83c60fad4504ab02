"""How soon a task is solved: what ended before, and what diverged, is not left out."""

from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import metrics, solved
from harness.report.units import SHARE

NEVER = (None, "done")
DIVERGED = (None, "nonfinite")
OVERTIME = (None, "timeout")


def table(*blocks):
    """Return the table of one series, from (solved at sequence, status) of each of its blocks."""
    records = []
    for block, (at, status) in enumerate(blocks):
        one = fake.record(fake.trial("training", block=block), status=status)
        values = {**one.values, "solved_at": at}
        if status == "nonfinite":  # before its second evaluation
            values |= {"evaluated_at": [0], "seconds": [0.0], "sequences": 7, "updates": 7}
        elif status == "timeout":  # it was killed: nothing of it is known
            values = {}
        records.append(replace(one, values=values))
    return solved.table(metrics.frame(records))


def shown(*blocks):
    return table(*blocks).shown().iloc[0]


def test_a_training_that_ended_unsolved_counts_as_later_than_its_end():
    row = table((20, "done"), (40, "done"), (60, "done"), NEVER, NEVER).data.iloc[0]
    assert row["solved_at_update"] == 60  # of the three alone it were 40
    assert row["solved_after_seconds"] == pytest.approx(6.0)  # when the model was scored then
    assert row["solved_at_update_high"] == float("inf")


def test_who_is_missing_is_counted_and_the_share_has_its_interval():
    row = shown((20, "done"), (40, "done"), (60, "done"), NEVER, DIVERGED)
    assert row["not reached"] == "2 of 5"
    assert row["solved"] == SHARE.interval(0.6, 0.2307, 0.8824)  # Wilson's of 3 in 5


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([(20, "done"), (60, "done")], "40"),
        ([(20, "done"), (40, "done"), (60, "done"), NEVER, NEVER, NEVER], "60 [20, ∞)"),
        ([(at, "done") for at in (20, 40, 60, 80, 100, 120, 140)], "80 [20, 120]"),
        (6 * [NEVER] + [(20, "done")], "not reached; over 20"),
        ([NEVER, NEVER, (20, "done")], "not reached"),
    ],
    ids=["of-two", "half", "all", "few", "one-of-three"],
)
def test_an_end_of_an_interval_that_is_not_known_reads_well(blocks, words):
    assert shown(*blocks)["updates to solved"] == words


def test_where_fewer_than_half_solve_it_there_is_no_median():
    row = shown((20, "done"), NEVER, NEVER)
    assert row["updates to solved"].startswith("not reached")
    assert row["training time to solved"].startswith("not reached")


def test_a_training_that_diverged_never_solves_it():
    assert shown((20, "done"), (20, "done"), *3 * [DIVERGED])["updates to solved"].startswith("not")
    # taken for later than update 7, where they broke, all that is left would solve it at 20
    plain = table((20, "done"), (20, "done")).data.iloc[0]
    assert plain["solved_at_update"] == 20


def test_a_training_that_solved_the_task_before_it_diverged_has_solved_it():
    row = table((0, "nonfinite"), (20, "done"), (20, "done")).data.iloc[0]
    assert (row["solved"], row["solved_at_update"]) == (1.0, 20)


def test_where_none_solved_it_there_is_no_table():
    assert len(table(NEVER, NEVER, DIVERGED).data) == 0


def test_a_training_over_its_time_limit_is_not_left_out():
    # Of those that ended alone, all would solve it, at 20: the slowest were killed before they did.
    row = shown((20, "done"), (20, "done"), *3 * [OVERTIME])
    assert row["not reached"] == "3 of 5"
    assert row["updates to solved"] == row["training time to solved"] == "not reached"
    row = table((20, "done"), (40, "done"), OVERTIME).data.iloc[0]
    assert row["solved_at_update"] == 40  # without the killed one it were 30


def test_who_never_ended_is_a_row_beside_who_did():
    records = []
    for label in ("full_bptt", "native"):
        choice = next(one for one in fake.IMPLEMENTATIONS if one.label == label)
        one = fake.record(replace(fake.trial("training"), implementation=choice))
        late = {"status": "timeout", "values": {}}
        solved_it = {"values": {**one.values, "solved_at": 20}}
        records.append(replace(one, **(late if label == "native" else solved_it)))
    row = solved.table(metrics.frame(records)).shown().set_index("implementation").loc["native"]
    assert row["not reached"] == "1 of 1"
    assert row["updates to solved"] == row["training time to solved"] == "not reached"
