import math

import fake_records as fake
import pytest

from harness.report import metrics

TIMED = {
    "sample_seconds": [0.05, 0.0512, 0.06],
    "floor_seconds": [0.0128],
    "updates_per_sequence": 4,
    "first_seconds": 0.2,
}


def row(measurement, values, **changes):
    of = fake.trial(measurement, length=64)  # B = 16
    return metrics.frame([fake.record(of, values=values, **changes)]).iloc[0]


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("seconds_per_sequence", 0.0512),  # the median
        ("seconds_per_step", 50e-6),  # 0.0512 / (64 · 16)
        ("seconds_per_update", 0.0128),  # 0.0512 / 4
        ("floor_ratio", 4.0),  # 0.0512 / 0.0128
        ("samples", 3.0),
    ],
)
def test_a_speed_record_gives(key, number):
    assert row("speed", TIMED)[key] == pytest.approx(number)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("seconds_per_sequence", "51.2 ms"),
        ("seconds_per_step", "50.0 µs"),
        ("seconds_per_update", "12.8 ms"),
        ("first_seconds", "200 ms"),
    ],
)
def test_a_reader_sees_the_right_unit(key, text):
    assert metrics.BY_KEY[key].text(row("speed", TIMED)[key]) == text


def test_theory_for_the_peak_is_static_and_batch_and_kept():
    values = {"static_bytes": 100, "batch_bytes": 20, "kept_bytes": 9, "peak_bytes": 140}
    values["theory"] = {"kept_bytes": 8}
    assert row("memory", values)["theory_peak_bytes"] == 128


TRAINED = {
    "evaluated_at": [0, 10, 20],
    "seconds": [0.0, 1.5, 3.25],
    "sequences": 20,
    "updates": 60,
    "solved_at": 10,
    "flops_per_sequence": 1e6,
    "clipped_norm_ratio": {"lower": 0.1, "median": 0.25, "upper": 0.5},
    "spike_999": 7.0,
    "stop_reason": "60 updates",
    "first_nonfinite_step": 4,
    "first_nonfinite_place": "step 4 of the forward pass",
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("solved_at_sequence", 10),
        ("solved_at_update", 30),  # three a sequence
        ("solved_after_seconds", 1.5),
        ("training_flops", 2e7),
        ("clipped_norm_ratio", 0.25),
        ("spike_999", 7.0),
        ("stop_reason", "60 updates"),
        ("first_nonfinite_step", 4),
        ("first_nonfinite_place", "step 4 of the forward pass"),
    ],
)
def test_a_training_record_gives(key, value):
    assert row("training", TRAINED)[key] == value


def test_a_training_record_of_before_these_were_kept_is_still_read():
    old = {name: TRAINED[name] for name in ("evaluated_at", "seconds", "updates", "solved_at")}
    found = row("training", old)
    assert (found["solved_at_update"], found["updates_per_sequence"]) == (30, 3)
    assert math.isnan(found["training_flops"])
    assert found["stop_reason"] is None


def test_a_spectrum_is_counted_and_summed_and_noise_keeps_its_interval():
    spectrum = {"median": [0.5, 0.125, -1.0], "lower": [0, 0, 0], "upper": [0, 0, 0]}
    interval = {"estimate": 4.0, "low": 3.0, "high": 5.0}
    scatter = {"draws": 32, "bias_squared": None, "noise_to_signal": interval, "agrees": True}
    found = row("gradients", {"lyapunov_spectrum": spectrum, "scatter": scatter, "half_life": 3})
    counted = ("lyapunov_exponents", "positive_exponents", "lyapunov_sum", "half_life_steps")
    assert [found[name] for name in counted] == [3, 2, -0.375, 3]
    ends = [found[f"noise_to_signal{end}"] for end in ("", "_low", "_high")]
    assert ends == [4.0, 3.0, 5.0]
    assert math.isnan(found["bias_squared"])


def test_every_key_that_holds_a_time_or_bytes_says_so():
    units = {metrics.SECONDS: "seconds", metrics.BYTES: "bytes"}
    unnamed = [m.key for m in metrics.METRICS if m.unit in units and units[m.unit] not in m.key]
    assert unnamed == []


def test_null_numbers_become_missing_ones():
    values = {"cosine": None, "relative_error": 0.5, "applied": None, "reach": None}
    found = row("gradients", values)
    assert math.isnan(found["cosine"])
    assert found["relative_error"] == 0.5


@pytest.mark.parametrize("status", ["oom", "timeout", "crashed", "failed", "skipped", "nonfinite"])
def test_a_trial_that_did_not_run_is_a_row_with_its_reason(status):
    found = row("speed", {}, status=status, reason="why", advice="what to do")
    assert (found["status"], found["reason"], found["advice"]) == (status, "why", "what to do")
    assert math.isnan(found["seconds_per_sequence"])


def test_no_records_give_a_frame_with_every_column():
    assert list(metrics.frame([]).columns) == list(metrics.COLUMNS)


def test_the_index_is_the_place_of_the_record():
    records = fake.with_failures(fake.Grid(lengths=(32,), blocks=1))
    found = metrics.frame(records)
    assert [records[i].trial.id for i in found.index] == list(found["id"])
