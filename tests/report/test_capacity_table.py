"""The longest length that fits stands beside the predicted one, with what ended the search."""

from dataclasses import replace

import fake_records as fake

from harness.report import capacity, metrics
from harness.report.units import MISSING, RATIO

BASE, NATIVE = fake.IMPLEMENTATIONS[:2]


def record(implementation, **values):
    of = fake.trial("speed", implementation)
    found = {"cap_bytes": 2**20, "longest_length": 90, "predicted_length": 100, **values}
    return replace(fake.record(of), trial=replace(of, measurement="capacity"), values=found)


def test_found_stands_beside_predicted_and_what_ended_the_search():
    records = [record(BASE, bounded_by="cap"), record(NATIVE, bounded_by="time")]
    shown = capacity.table(metrics.frame(records)).shown().set_index("implementation")
    assert list(shown.loc[BASE.label, ["longest T that fits", "theory"]]) == ["90", "100"]
    assert shown.loc[BASE.label, "found / theory"] == RATIO.text(0.9)
    assert shown.loc[BASE.label, "ended by"] == "the cap"
    assert "may fit" in shown.loc[NATIVE.label, "ended by"]


def test_a_method_without_a_formula_has_a_length_and_no_prediction():
    records = [record(BASE, bounded_by="task", predicted_length=None)]
    (row,) = capacity.table(metrics.frame(records)).shown().to_dict("records")
    assert (row["theory"], row["found / theory"]) == (MISSING, MISSING)


def test_a_sweep_that_looked_for_no_length_has_no_such_table():
    assert not len(capacity.table(metrics.frame(fake.records(fake.Grid(lengths=(32,))))).data)
