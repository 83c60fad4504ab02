"""The truncation-bias curve: what is drawn and said is what the records hold."""

from dataclasses import replace

import fake_records as fake

from harness.report import figures, metrics
from harness.report.figures.truncation import curves

GRID = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=1)


def drawn(records):
    made = {each.key: each for each in figures.draw(metrics.frame(records), records)}
    return made.get("truncation-bias")


def with_curve(record, errors):
    curve = {"lags": [1, 2, 4], "relative_error": errors, "cosine": [0.9, 0.95, 1.0]}
    return replace(record, values={**record.values, "truncation_bias": curve})


def test_the_sentence_names_the_least_depth_with_a_bias_under_a_tenth():
    records = [with_curve(record, [0.5, 0.09, 0.001]) for record in fake.records(GRID)]
    assert drawn(records).finding == "So many lags leave a bias under one tenth: 2 (lstm)."


def test_no_depth_is_named_where_none_is_enough():
    records = [with_curve(record, [0.9, 0.8, 0.7]) for record in fake.records(GRID)]
    assert drawn(records).finding == ""


def test_the_curve_is_of_the_longest_sequence_and_the_median_of_blocks():
    records = list(fake.records(replace(GRID, blocks=3)))
    of_block = {0: 0.1, 1: 0.2, 2: 0.6}
    records = [with_curve(each, [1.0, of_block[each.trial.block], 0.0]) for each in records]
    table = curves(metrics.frame(records), records)
    assert set(table["sequence_length"]) == {64}
    assert table.loc[table["lags"] == 2, "relative_error"].tolist() == [0.2]


def test_there_is_no_figure_without_a_curve():
    bare = [
        replace(each, values={**each.values, "truncation_bias": None})
        for each in fake.records(GRID)
    ]
    assert drawn(bare) is None
