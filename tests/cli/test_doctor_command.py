"""`bptt doctor` tells what it found, what is unknown, and how noisy this machine is."""

import json

import pytest
from commands import bptt

from harness.cli import doctor
from harness.doctor.finding import DISTURBS, FINE, STATES, Finding


@pytest.fixture(scope="module")
def events() -> list[dict]:
    """Return a whole examination of this machine, with two pairs of trials."""
    done = bptt("doctor", "--json", "--pairs", "2")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_topic_is_told_once_with_what_was_seen(events: list[dict]) -> None:
    topics = [event["topic"] for event in events]
    assert len(topics) == len(set(topics))
    wanted = {"governor", "turbo", "SMT", "load", "cpu pressure", "busy processes", "throttling"}
    wanted |= {"cpu quota", "niceness", "swap", "memory", "versions", "BLAS", "denormals", "clock"}
    assert wanted | {"huge pages", "threads", "A/A noise", "stolen time"} <= set(topics)
    assert all(event["state"] in STATES and event["seen"] for event in events)
    assert all(event["advice"] for event in events if event["state"] == DISTURBS)


def test_the_noise_holds_the_times_of_both_copies(events: list[dict]) -> None:
    (event,) = [event for event in events if event["topic"] == "A/A noise"]
    assert len(event["noise"]["first_seconds"]) == len(event["noise"]["second_seconds"]) == 2
    assert all(seconds > 0 for seconds in event["noise"]["first_seconds"])
    assert event["noise"]["band"] > 0


def diagnosis(*findings: Finding, **environment: str) -> doctor.Diagnosis:
    plain = dict.fromkeys(doctor.VERSIONS, "1")
    return doctor.Diagnosis("node", {**plain, **environment}, findings, None)


def test_nodes_of_other_versions_are_told_apart() -> None:
    one, other = diagnosis(), diagnosis(torch="2")
    (alike,) = doctor.beside(one, [one, diagnosis()]).findings
    (unlike,) = doctor.beside(one, [one, other]).findings
    assert (alike.state, unlike.state) == (FINE, DISTURBS)
    assert "torch 1" in unlike.seen
    assert doctor.beside(one, [one]) == one


@pytest.mark.parametrize(("state", "code"), [(FINE, 0), (DISTURBS, 3)])
def test_strict_fails_where_something_disturbs(
    monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    found = diagnosis(Finding("load", state, "as told", "help"), cores=2, memory_bytes=2**30)
    monkeypatch.setattr(doctor, "examined", lambda address, pairs: [found])
    said = bptt("doctor", "--strict")
    assert said.exit_code == code
    assert "load  as told" in said.stdout
    assert bptt("doctor").exit_code == 0
