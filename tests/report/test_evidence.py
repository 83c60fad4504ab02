from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import evidence, figures, metrics, trials
from harness.report.units import MISSING, RATIO, SHARE

SMALL = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=2)


WILSON_2_OF_8 = (0.0715, 0.5907)


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


def test_every_figure_of_memory_stands_beside_its_theory():
    values = {"theory_static_bytes": 300_000, "kept_bytes_per_step": 1.0}
    values |= {"theory_kept_bytes_per_step": 0.5, "peak_bytes_per_step": 2.0}
    rows = metrics.frame(fake.records(SMALL))
    table = evidence.memory(changed("memory", {**values, "theory_peak_bytes_per_step": 0.5}))
    assert shown(table, "full_bptt")["static / theory"] == RATIO.text(1.0)
    assert shown(table, "full_bptt")["kept step / theory"] == f"{RATIO.text(2.0)} !"
    assert shown(table, "full_bptt")["peak step / theory"] == f"{RATIO.text(4.0)} !"
    assert shown(table, "full_bptt")["peak / theory"].endswith(" !")  # 8 % of what is kept
    assert shown(evidence.memory(rows), "full_bptt")["kept step / theory"] == MISSING


def test_the_distance_to_the_floor_has_its_interval_over_blocks():
    table = evidence.speed(metrics.frame(fake.records(replace(SMALL, blocks=6))))
    native = table.data[table.data["implementation"] == "native"].iloc[0]
    ends = [native[f"floor_ratio{end}"] for end in ("", "_low", "_high")]
    assert ends[1] < ends[0] < ends[2]
    assert shown(table, "native", native["sequence_length"])["time / floor"] == RATIO.interval(
        *ends
    )


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


def test_trainings_that_diverged_have_their_share_and_a_row_though_none_ended():
    grid = replace(SMALL, blocks=4, measurements=("training",))
    lost = {"native": {0}, "full_bptt + norm(1.0)": {0, 1, 2, 3}}  # blocks
    records = [
        replace(one, status="nonfinite", values={})
        if one.trial.block in lost.get(one.trial.implementation.label, ())
        else one
        for one in fake.records(grid)
    ]
    table = evidence.training(metrics.frame(records))
    assert shown(table, "full_bptt")["diverged"] == SHARE.interval(0, 0, 0.4899)
    assert shown(table, "native")["diverged"] == SHARE.interval(0.25, 0.0456, 0.6994)
    never = shown(table, "full_bptt + norm(1.0)")
    assert never["diverged"] == SHARE.interval(1, 0.5101, 1)
    assert (never["final score"], never["learned"]) == (MISSING, MISSING)


def trained(changes):
    """Return the frame of trainings over six blocks, with changes by block."""
    grid = replace(SMALL, blocks=6, measurements=("training",))
    return metrics.frame(
        [
            replace(one, values={**one.values, **changes(one.trial)}, trial=one.trial)
            for one in fake.records(grid)
        ]
    )


def test_the_score_at_the_end_has_its_interval_over_seeds():
    scores = [0.1, 0.3, 0.2, 0.4, 0.6, 0.5]
    table = evidence.training(trained(lambda trial: {"final_score": scores[trial.block]}))
    assert shown(table, "native")["final score"] == "0.350 [0.100, 0.600]"
    assert "95 % intervals" in table.note


def test_what_ended_a_training_is_a_column_only_where_it_differs():
    alike = evidence.training(trained(lambda trial: {"stop_reason": "30 s"}))
    assert "ended by" not in alike.shown()
    assert "Each ended after 30 s." in alike.note

    def apart(trial):
        return {"stop_reason": "30 s" if trial.implementation.baseline else "200 sequences"}

    table = evidence.training(trained(apart))
    assert shown(table, "full_bptt")["ended by"] == "30 s"
    assert shown(table, "native")["ended by"] == "200 sequences"
    assert "Each ended" not in table.note


def test_over_learning_rates_the_share_that_diverged_is_told_of_every_setting_by_itself():
    records = []
    grid = replace(SMALL, blocks=2, measurements=("training",), cells=("lstm", "elman"))
    for rate in (0.01, 0.1):
        for one in fake.records(grid):
            mine = one.trial.implementation.baseline and one.trial.cell.use == "lstm"
            lost = rate == 0.1 and mine and one.trial.block == 0
            of = replace(one.trial, learning_rate=rate)
            records.append(replace(one, trial=of, status="nonfinite" if lost else "done"))
    note = evidence.training(metrics.frame(records)).note
    share = SHARE.interval(0.25, 0.0456, 0.6994)  # one of 4, and not 2 of 8 at two lengths
    said = f"Diverged over 2 learning rates: elman · T=64: none; lstm · T=64: full_bptt {share}."
    assert said in note
    assert "learning rates" not in evidence.training(trained(lambda trial: {})).note


def test_a_random_method_shows_its_noise_and_others_have_no_such_column():
    plain = evidence.gradients(metrics.frame(fake.records(SMALL)))
    assert "noise² / norm²" not in plain.shown()
    interval = {"estimate": 4.0, "low": 3.0, "high": 5.0}
    scatter = {"noise_to_signal": interval, "bias_squared": {**interval, "low": -1.0}}
    table = evidence.gradients(changed("gradients", {"scatter": scatter}))
    assert shown(table, "native")["noise² / norm²"] == "4.00 [3.00, 5.00]"
    assert shown(table, "native")["bias² / norm²"] == "4.00 [-1.00, 5.00]"


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


def with_copies(records, slower):
    """Return the records with an A/A copy of every timed baseline that took `slower` times it."""
    copies = []
    for record in records:
        trial = record.trial
        if trial.measurement == "speed" and trial.implementation.baseline:
            samples = [slower * sample for sample in record.values["sample_seconds"]]
            phases = {k: slower * v for k, v in record.values["phase_seconds"].items()}
            values = {**record.values, "sample_seconds": samples, "phase_seconds": phases}
            copies.append(replace(record, trial=replace(trial, replica=1), values=values))
    return [*records, *copies]


def test_a_copy_of_the_baseline_is_no_sample_of_it():
    plain = metrics.frame(fake.records(SMALL))
    copied = metrics.frame(with_copies(fake.records(SMALL), slower=3.0))
    keys = ["seconds_per_step", "first_seconds", "floor_ratio"]
    assert evidence.speed(copied).data[keys].equals(evidence.speed(plain).data[keys])
    frames = [figures.draw(frame, fake.records(SMALL)) for frame in (plain, copied)]
    one, other = ({each.key: each for each in drawn}["phases"] for drawn in frames)
    assert one.data.equals(other.data)


def test_a_copy_is_told_from_the_baseline_among_all_trials():
    headings = [field.heading for field in trials.fields(metrics.frame(fake.records(SMALL)))]
    assert "replica" not in headings
    copied = metrics.frame(with_copies(fake.records(SMALL), slower=1.0))
    assert "replica" in [field.heading for field in trials.fields(copied)]
