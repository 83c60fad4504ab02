"""What is said when a sweep has ended: the counts, the answer, the failures, and the exit code."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

import click

from harness import launch, store
from harness.cli import exits, report, words
from harness.cli.plan import Options, Plan
from harness.executors.implied import IMPLIED_BY
from harness.trial import Record

BUGS = ("failed", "crashed")  # the other ends are limits, which a sweep may well want to find
ENDS_WELL = ("done", "skipped")


def told(plan: Plan, options: Options, seconds: float) -> int:
    """Write the report, say how the sweep ended, and return the exit code."""
    records = launch.current(store.read(plan.folder).records, plan.ids)
    sentences = _answer(records)
    page = report.written((plan.folder,), plan.folder / "report")
    code = _exit_code(records, options.allowed)
    if options.as_json:
        statuses = [record.status for record in records]
        counts = {status: statuses.count(status) for status in sorted(set(statuses))}
        event = {"event": "end", "counts": counts, "answer": sentences, "exit_code": code}
        click.echo(json.dumps({**event, "report": str(page)}))
        return code
    trials = words.plural(len(records), "trial")
    ends = words.counts(record.status for record in records)
    click.echo(f"{trials} in {words.duration(seconds)}: {ends}")
    for sentence in sentences:
        click.echo(sentence)
    click.echo(f"report  {page}")
    for line in _failures(records, options):
        click.echo(line)
    return code


def _answer(records: Sequence[Record]) -> list[str]:
    from harness.report.metrics import frame  # imports pandas
    from harness.report.tables import answer

    return list(answer(frame(records)).sentences)


def disagreeing(records: Sequence[Record]) -> list[Record]:
    """Return the records of methods that claim the exact gradient and do not have it."""
    return [record for record in records if record.values.get("agrees") is False]


def _exit_code(records: Sequence[Record], allowed: tuple[str, ...]) -> int:
    if disagreeing(records):
        return exits.DISAGREES
    failed = any(record.status not in (*ENDS_WELL, *allowed) for record in records)
    return exits.FAILED_TRIALS if failed else 0


def _failures(records: Sequence[Record], options: Options) -> list[str]:
    results = str(options.results)
    where = "" if results == "results" else f" --results {shlex.quote(results)}"
    lines = []
    for status in sorted({record.status for record in records} - set(ENDS_WELL)):
        count = sum(record.status == status for record in records)
        what = "a bug, not a limit" if status in BUGS else "a limit that was met"
        if status == "nonfinite":
            what = "a training that diverged"
        implied = sum(record.status == status and IMPLIED_BY in record.values for record in records)
        what += f", or implied by one ({implied:,})" if implied else ""
        lines.append(f"{count:,} {status}, each {what}: bptt show --status {status}{where}")
    for record in disagreeing(records)[:1]:
        wrong = words.plural(len(disagreeing(records)), "gradient")
        lines.append(f"{wrong} said to be exact and not: bptt show {record.trial.id}{where}")
    return lines
