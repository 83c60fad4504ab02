"""Turns what a fork server says into a record: numbers, or a status with a true reason."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

from harness.executors.protocol import Report
from harness.trial import Record, Trial

MAX_LOSSES = 3  # a trial is handed out again after as many faults that are not its own


def record(trial: Trial, report: Report, node: str, attempts: int) -> Record:
    """Return the record of a trial that ran, whatever became of it."""
    where: dict[str, Any] = {
        "trial": trial,  # as it was planned: a node has its plugin files elsewhere
        "started": report.started,
        "ended": report.ended,
        "node": node,
        "attempts": attempts,
    }
    if report.result is not None:
        own = Record.from_json(report.result)
        told = {"output": report.output} if report.output else {}
        return replace(own, **where, environment={**report.environment, **own.environment, **told})
    status, reason, advice = _judge(trial, report)
    return Record(
        status=status,
        reason=reason + _told(report.output),
        advice=advice,
        environment=report.environment,
        **where,
    )


def refusal(trial: Trial, reason: str, advice: str) -> Record:
    """Return the record of a trial that no node can run."""
    return Record(trial=trial, status="failed", reason=reason, advice=advice)


def loss(trial: Trial, why: str, node: str, attempts: int) -> Record:
    """Return the record of a trial whose node or agent was lost once too often."""
    return Record(
        trial=trial,
        status="crashed",
        reason=f"what ran it was lost {attempts} times, the last time because {why}",
        advice="see whether the trial takes its node down: run it alone, with a memory limit",
        node=node,
        attempts=attempts,
    )


def _judge(trial: Trial, report: Report) -> tuple[str, str, str]:
    """Return the status, the reason and the advice."""
    if report.timed_out:
        limit = f"{trial.limits.seconds:g} s"
        advice = "raise limits.trial_timeout, or shorten the sequence"
        return "timeout", f"ran longer than its limit of {limit}", advice
    if report.out_of_memory:
        return "oom", _starvation(trial, report), "lower batch_size, hidden_size or sequence_length"
    if report.error:
        advice = "this is an error in the harness or a plugin, not in the sweep; see its last lines"
        return "failed", report.error, advice
    peak = f"its memory peaked at {_mebibytes(report.peak_bytes)}"
    advice = "run this trial alone with --executor inline to see where"
    if report.signal is not None:
        return "crashed", f"was killed by {_name(report.signal)}; {peak}", advice
    return "crashed", f"ended itself with exit code {report.code} and no result; {peak}", advice


def _starvation(trial: Trial, report: Report) -> str:
    cap = trial.limits.memory_bytes
    limit = "what the node had free" if cap is None else f"its limit of {_mebibytes(cap)}"
    if report.error:
        return f"asked for more memory than {limit}: {report.error}"
    peak = _mebibytes(report.peak_bytes)
    return f"was killed while the kernel was out of memory; its own peaked at {peak}"


def _name(number: int) -> str:
    """Return "SIGSEGV (signal 11)"."""
    known = {each.value: each.name for each in signal.Signals}
    return f"{known[number]} (signal {number})" if number in known else f"signal {number}"


def _mebibytes(amount: int) -> str:
    return f"{amount / 2**20:,.0f} MiB"


def _told(output: str) -> str:
    return f"\nIts last lines:\n{output}" if output else ""
