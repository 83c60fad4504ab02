from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import metrics, tables
from harness.report.units import RATIO

BASE, NATIVE, TRUNCATED, CHECKPOINTED, CLIPPED = fake.IMPLEMENTATIONS


def grid(**changes):
    return fake.Grid(
        **{"lengths": (32, 64, 128), "cells": ("lstm",), "tasks": ("adding",)} | changes
    )


def answer(records):
    return tables.answer(metrics.frame(records))


def speeds(blocks, *seconds):
    """Return one speed record a block and implementation, with about these medians."""
    return [
        fake.record(
            fake.trial("speed", implementation, block=block),
            values={"sample_seconds": [value * (1 + 0.02 * (block % 3))]},
        )
        for block in range(blocks)
        for implementation, value in seconds
    ]


def test_three_blocks_give_no_verdict_and_name_no_winner():
    (sentence,) = answer(fake.records(grid(blocks=3))).sentences
    assert "no verdict on time, as 3 blocks are too few (6 are needed)" in sentence
    assert "fastest" not in sentence


def test_a_clear_winner_is_named_with_its_interval():
    (sentence,) = answer(speeds(6, (BASE, 1.0), (NATIVE, 0.5), (TRUNCATED, 0.8))).sentences
    assert "native is fastest, at 0.500" in sentence


def test_the_distance_to_the_floor_is_said_of_the_baseline_and_of_the_nearest():
    floor = {"floor_seconds": [0.1]}
    records = [
        replace(record, values={**record.values, **floor})
        for record in speeds(6, (BASE, 1.0), (NATIVE, 0.5), (TRUNCATED, 0.8))
    ]
    found = answer(records)
    base, native = RATIO.interval(10.2, 10.0, 10.4), RATIO.interval(5.1, 5.0, 5.2)
    said = f"the bare matrix products: full_bptt {base} and native, the nearest, {native}"
    assert said in found.sentences[0]
    shown = tables.answer_table(found, metrics.frame(records)).shown().set_index("implementation")
    assert shown.loc["native", "time / floor"] == native
    assert "bare matrix products" not in answer(speeds(6, (BASE, 1.0))).sentences[0]


def test_overlapping_intervals_name_no_winner():
    records = speeds(6, (BASE, 1.0), (NATIVE, 0.5))
    jitter = [0.48, 0.52, 0.49, 0.51, 0.47, 0.53]
    records += [
        fake.record(fake.trial("speed", TRUNCATED, block=b), values={"sample_seconds": [s]})
        for b, s in enumerate(jitter)
    ]
    (sentence,) = answer(records).sentences
    assert "native and truncated_bptt(16,16) cannot be told apart as the fastest" in sentence


def test_where_all_are_slower_nothing_is_faster_than_the_baseline():
    (sentence,) = answer(speeds(6, (BASE, 1.0), (NATIVE, 1.5))).sentences
    assert "nothing is faster than full_bptt" in sentence


def test_the_reference_is_the_longest_sequence_that_the_baseline_ran():
    records = [
        replace(record, status="oom", reason="asked 2 GiB", values={})
        if record.trial.implementation.baseline and record.trial.sequence_length == 128
        else record
        for record in fake.records(grid())
    ]
    assert set(answer(records).rows["sequence_length"]) == {64}


def test_a_disagreeing_gradient_is_shouted():
    records = [
        replace(record, values={**record.values, "agrees": False})
        if record.trial.measurement == "gradients" and record.trial.implementation == NATIVE
        else record
        for record in fake.records(grid())
    ]
    found = answer(records)
    assert "native DISAGREES with the float64 oracle" in found.sentences[0]
    shown = tables.answer_table(found, metrics.frame(records)).shown()
    assert "DISAGREES" in shown.set_index("implementation").loc["native", "note"]


def test_a_series_that_ran_out_of_memory_says_at_which_length():
    records = [
        replace(record, status="oom", reason="asked 2 GiB", values={})
        if record.trial.implementation == NATIVE and record.trial.sequence_length == 128
        else record
        for record in fake.records(grid())
    ]
    frame = metrics.frame(records)
    shown = tables.answer_table(tables.answer(frame), frame).shown().set_index("implementation")
    assert shown.loc["native", "longest T"] == "64 (oom at 128)"


def test_the_note_says_how_far_a_biased_method_reaches_and_what_is_clipped():
    frame = metrics.frame(fake.records(grid()))
    shown = tables.answer_table(tables.answer(frame), frame).shown().set_index("implementation")
    assert shown.loc[TRUNCATED.label, "note"] == "biased, reach 16"
    assert shown.loc[CLIPPED.label, "note"].startswith("exact, clips ")


@pytest.mark.parametrize("measurements", [("memory",), ("gradients",), ("training",)])
def test_a_sweep_without_speed_still_gets_an_answer(measurements):
    found = answer(fake.records(grid(measurements=measurements)))
    assert len(found.sentences) == 1
    assert set(found.rows["sequence_length"]) == {128}


def test_each_machine_has_its_own_sentence():
    records = [
        *fake.records(grid()),
        *fake.records(grid(node="gpu-01", device="cuda")),
    ]
    assert [("bench-01" in s, "gpu-01" in s) for s in answer(records).sentences] == [
        (True, False),
        (False, True),
    ]


def test_no_records_give_no_sentence():
    assert answer([]).sentences == ()
