"""A measurement's settings are refused where no trial could run by them."""

import pytest
from sweeps import SMALL, mistakes_of, sweep_of, trials_of

from harness.sweep import resolved
from harness.trial import PROTOCOLS

SETTINGS = [
    (measurement, setting, kind)
    for measurement, protocol in PROTOCOLS.items()
    for setting, kind in protocol.__annotations__.items()
]
COUNTS = [one[:2] for one in SETTINGS if one[2].startswith("int")]
NUMBERS = [one[:2] for one in SETTINGS if one[2] == "float"]


def told_of(measurement: str, setting: str, value: str) -> list[str]:
    return mistakes_of(f"{SMALL}[measure.{measurement}]\n{setting} = {value}\n")


@pytest.mark.parametrize("value", ["0", "-3"])
@pytest.mark.parametrize(("measurement", "setting"), COUNTS)
def test_a_count_of_none_is_refused(measurement: str, setting: str, value: str) -> None:
    (told,) = told_of(measurement, setting, value)
    where = f"small.toml:{SMALL.count(chr(10)) + 2}: measure.{measurement}.{setting}"
    assert told == f"{where}: {value} is not a whole number above 0"


@pytest.mark.parametrize(("measurement", "setting"), COUNTS)
def test_a_count_of_one_is_allowed(measurement: str, setting: str) -> None:
    assert told_of(measurement, setting, "1") == []


@pytest.mark.parametrize(("measurement", "setting"), NUMBERS)
def test_seconds_may_be_0_but_not_less(measurement: str, setting: str) -> None:
    assert told_of(measurement, setting, "0.0") == []
    (told,) = told_of(measurement, setting, "-0.5")
    assert told.endswith(f"measure.{measurement}.{setting}: -0.5 is not 0 or more")


def test_seconds_that_are_no_number_are_refused() -> None:
    (told,) = told_of("speed", "min_seconds", "nan")
    assert told.endswith("measure.speed.min_seconds: nan is not 0 or more")


@pytest.mark.parametrize("setting", ["budget_seconds", "budget_flops"])
def test_a_budget_of_nothing_is_refused(setting: str) -> None:
    (told,) = told_of("training", setting, "0.0")
    assert told.endswith(f"measure.training.{setting}: 0.0 is a budget for nothing")
    assert told_of("training", setting, "0.5") == []


def test_a_budget_that_no_trial_has_time_for_is_refused() -> None:
    (told,) = told_of("training", "budget_seconds", "600")
    sentence = "600 s do not fit into limits.trial_timeout, 600 s; raise that"
    assert told.endswith(f"measure.training.budget_seconds: {sentence}")
    assert told_of("training", "budget_seconds", "599") == []


BUDGET = f"{SMALL}[measure.training]\nbudget_seconds = 2\n"


def test_what_is_not_asked_for_is_no_part_of_a_trial() -> None:
    protocols = sweep_of(SMALL).protocols
    assert "budget_seconds" not in protocols["training"]
    assert "lyapunov_exponents" not in protocols["gradients"]
    asked = sweep_of(BUDGET)
    assert asked.protocols["training"]["budget_seconds"] == 2.0
    assert sweep_of(resolved(asked)).protocols == asked.protocols


def test_a_budget_makes_other_trainings_and_no_other_trials() -> None:
    plain, budget = ({each.trial.id: each.trial for each in trials_of(t)} for t in (SMALL, BUDGET))
    kinds = {(plain | budget)[one].measurement for one in plain.keys() ^ budget.keys()}
    assert kinds == {"training"}
