"""Trials are names, not objects: stable ids, and a way to JSON and back."""

import json
from dataclasses import replace

import pytest
from rigs import trial_of

from harness.trial import SCHEMA, Choice, Implementation, Limits, Record, Trial

TRIAL = trial_of("speed", "truncated_bptt", params={"stride": 4, "depth": 8})


def test_the_id_of_a_trial_is_the_same_in_every_version_and_on_every_machine() -> None:
    assert TRIAL.id == "a9cafdfd84a9"  # changing it orphans every stored record


@pytest.mark.parametrize(
    "unmeasured",
    [
        {"limits": Limits(1.0, 1)},
        {"plugins": ("elsewhere/my_rule.py",)},
        {"implementation": replace(TRIAL.implementation, label="renamed", baseline=True)},
    ],
    ids=["limits", "where plugins lie", "label"],
)
def test_what_is_not_measured_is_not_in_the_id(unmeasured: dict[str, object]) -> None:
    assert replace(TRIAL, **unmeasured).id == TRIAL.id


@pytest.mark.parametrize(
    "measured",
    [
        {"measurement": "memory"},
        {"block": 1},
        {"replica": 1},
        {"seed": 1},
        {"threads": 2},
        {"protocol": {"min_samples": 3}},
        {"sources": {"gradients/truncated_bptt": "0" * 64}},
        {"implementation": Implementation(Choice("truncated_bptt", {"stride": 4, "depth": 9}))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_measured_is_in_the_id(measured: dict[str, object]) -> None:
    assert replace(TRIAL, **measured).id != TRIAL.id


def test_a_record_made_before_there_were_copies_is_one_of_no_copy() -> None:
    data = TRIAL.to_json()
    del data["replica"]
    assert Trial.from_json(data) == TRIAL
    assert Trial.from_json(data).id == TRIAL.id


def test_a_copy_says_that_it_is_one() -> None:
    assert str(replace(TRIAL, replica=1)) == f"{TRIAL}/A/A copy"


def test_a_trial_and_a_record_survive_json() -> None:
    record = Record(
        TRIAL, "oom", "asked 2 GiB", "shorten it", {"a": [1.5]}, {"host": "x"}, 1.0, 2.0
    )
    data = json.loads(json.dumps(record.to_json()))
    assert Trial.from_json(data["trial"]) == TRIAL
    assert Record.from_json(data) == record


def test_a_record_of_another_schema_is_refused_by_name() -> None:
    data = Record(TRIAL, "done").to_json() | {"schema": SCHEMA + 1}
    with pytest.raises(ValueError, match=f"schema {SCHEMA + 1}; this version reads"):
        Record.from_json(data)
