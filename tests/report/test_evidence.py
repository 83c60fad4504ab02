from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import evidence, metrics

SMALL = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=2)


def shown(table, implementation, length=64):
    rows = table.shown()
    return rows[(rows["implementation"] == implementation) & (rows["T"] == str(length))].iloc[0]


def changed(measurement, values):
    records = fake.records(SMALL)
    return metrics.frame(
        [
            replace(record, values={**record.values, **values})
            if record.trial.measurement == measurement
            else record
            for record in records
        ]
    )


def test_theory_further_away_than_five_percent_is_marked():
    table = evidence.memory(metrics.frame(fake.records(SMALL)))
    assert shown(table, "native")["kept / theory"].endswith(" !")  # 12 % apart
    assert not shown(table, "full_bptt")["kept / theory"].endswith(" !")


@pytest.mark.parametrize(
    ("score", "better", "word"),
    [
        (0.20, "lower", "not yet"),
        (0.10, "lower", "better than trivial"),
        (0.01, "lower", "solved"),
        (0.20, "higher", "solved"),
    ],
)
def test_a_score_is_held_against_the_trivial_predictor(score, better, word):
    values = {"final_score": score, "trivial_score": 0.16, "score_better": better}
    values["solved_score"] = 0.02 if better == "lower" else 0.18
    table = evidence.training(changed("training", values))
    assert shown(table, "full_bptt")["learned"] == word


def test_a_gradient_that_disagrees_in_one_block_disagrees():
    records = fake.records(SMALL)
    wrong = next(
        i
        for i, record in enumerate(records)
        if record.trial.measurement == "gradients" and record.trial.sequence_length == 64
    )
    records[wrong] = replace(records[wrong], values={**records[wrong].values, "agrees": False})
    table = evidence.gradients(metrics.frame(records))
    assert shown(table, "full_bptt")["agrees with itself"] == "NO: DISAGREES"
    assert shown(table, "native")["agrees with itself"] == "yes"


def test_speed_is_shown_in_readable_units_and_kept_in_seconds():
    table = evidence.speed(changed("speed", {"sample_seconds": [0.0512] * 3}))
    row = shown(table, "full_bptt")
    assert row["time per sequence"].startswith("51.2 ms")
    assert row["time per step"] == "50.0 µs"  # 0.0512 / (64 · 16)
    assert set(table.data["seconds_per_sequence"]) == {0.0512}


def test_what_was_not_measured_has_no_table():
    frame = metrics.frame(fake.records(replace(SMALL, measurements=("memory",))))
    assert [table.key for table in evidence.tables(frame)] == ["memory"]


def test_a_table_of_times_says_how_sure_its_intervals_are():
    table = evidence.speed(metrics.frame(fake.records(SMALL)))
    assert "50 % intervals, the most that 2 blocks allow" in table.note
