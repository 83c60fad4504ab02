"""Every way a trial can end becomes a record with a status, a reason and an advice."""

import signal
from dataclasses import replace

import pytest
from trials import trial

from harness.executors import outcome
from harness.executors.protocol import Report
from harness.trial import STATUSES, Limits, Record

MEBIBYTE = 2**20


def judged(report, **limits):
    made = outcome.record(trial(limits=Limits(**limits)), report, "node", 2)
    return made.status, made.reason


ENDS = {
    "timeout": (
        Report(key="a", timed_out=True, signal=signal.SIGKILL),
        "timeout",
        "ran longer than its limit of 600 s",
    ),
    "cap": (
        Report(key="a", out_of_memory=True, error="MemoryError", code=0),
        "oom",
        "asked for more memory than its limit of 100 MiB: MemoryError",
    ),
    "kernel": (
        Report(key="a", out_of_memory=True, signal=9, peak_bytes=3000 * MEBIBYTE),
        "oom",
        "was killed while the kernel was out of memory; its own peaked at 3,000 MiB",
    ),
    "exception": (
        Report(key="a", error="ValueError: no", code=0, output="Traceback"),
        "failed",
        "ValueError: no\nIts last lines:\nTraceback",
    ),
    "signal": (
        Report(key="a", signal=signal.SIGSEGV, peak_bytes=MEBIBYTE),
        "crashed",
        "was killed by SIGSEGV (signal 11); its memory peaked at 1 MiB",
    ),
    "exit": (
        Report(key="a", code=3, peak_bytes=MEBIBYTE),
        "crashed",
        "ended itself with exit code 3 and no result; its memory peaked at 1 MiB",
    ),
}


@pytest.mark.parametrize(("report", "status", "reason"), ENDS.values(), ids=ENDS)
def test_the_reason_tells_what_happened(report, status, reason):
    assert judged(report, memory_bytes=100 * MEBIBYTE) == (status, reason)


@pytest.mark.parametrize("report", [end[0] for end in ENDS.values()], ids=ENDS)
def test_every_end_without_a_result_has_a_known_status_and_an_advice(report):
    made = outcome.record(trial(), report, "node", 1)
    assert made.status in STATUSES
    assert made.advice
    assert Record.from_json(made.to_json()) == made


@pytest.mark.parametrize("report", [end[0] for end in ENDS.values()], ids=ENDS)
def test_a_record_without_a_result_tells_what_was_in_force(report):
    made = outcome.record(trial(), replace(report, environment={"niceness": 3}), "node", 1)
    assert made.environment == {"niceness": 3}


def test_a_record_with_a_result_tells_what_was_in_force_and_printed():
    result = Record(trial=trial(), status="done", environment={"load": 2.0}).to_json()
    found = {"load": 1.0, "niceness": 3}
    report = Report(key="a", result=result, environment=found, output="a warning")
    made = outcome.record(trial(), report, "node", 1)
    assert made.environment == {"load": 2.0, "niceness": 3, "output": "a warning"}


def test_without_a_limit_the_reason_names_what_the_node_had():
    report = Report(key="a", out_of_memory=True, error="MemoryError", code=0)
    assert judged(report)[1] == "asked for more memory than what the node had free: MemoryError"


def test_a_result_is_kept_and_told_where_and_when_it_ran():
    one = trial()
    result = Record(trial=one, status="nonfinite", reason="a NaN", values={"a": 1}).to_json()
    report = Report(key="a", result=result, started=1.0, ended=3.0)
    assert outcome.record(one, report, "node", 2) == Record(
        trial=one,
        status="nonfinite",
        reason="a NaN",
        values={"a": 1},
        started=1.0,
        ended=3.0,
        node="node",
        attempts=2,
    )


def test_a_trial_lost_too_often_says_so():
    made = outcome.loss(trial(), "what runs trials there was lost", "node", 4)
    assert made.status == "crashed"
    assert "lost 4 times, the last time because what runs trials there was lost" in made.reason
    assert made.attempts == 4
