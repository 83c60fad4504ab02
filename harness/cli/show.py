"""`bptt show`: what became of trials, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from harness import launch, store
from harness.cli import words
from harness.registry import ConfigurationError, Mistake
from harness.trial import STATUSES, Record


@click.command("show")
@click.argument("trials", nargs=-1, metavar="[TRIAL]...")
@click.option("--status", type=click.Choice(STATUSES), help="Every trial that ended so.")
@click.option(
    "--results",
    type=Path,
    default=Path("results"),
    envvar="BPTT_RESULTS",
    show_default=True,
    show_envvar=True,
    help="Where to look.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON record a line.")
def command(trials: tuple[str, ...], status: str | None, results: Path, as_json: bool) -> None:
    """Show trials by their ids, or the beginnings of them, or by how they ended."""
    if not trials and status is None:
        raise click.UsageError("name a trial by its id, or say --status failed")
    folders = _folders(results)
    if not folders:
        what = f"{results} holds no results of a sweep; name the folder that it wrote them to"
        raise ConfigurationError(Mistake("--results", what))
    found = [
        (folder, record)
        for folder in folders
        for record in _records(folder, all_kept=bool(trials))
        if (not trials or record.trial.id.startswith(trials)) and status in (None, record.status)
    ]
    if not found and trials:
        what = f"no record in {results} has an id that begins with {' or '.join(trials)}"
        raise ConfigurationError(Mistake("", f"{what}; --results names another folder"))
    for folder, record in found:
        line = json.dumps({"folder": str(folder), **record.to_json()})
        click.echo(line if as_json else "\n".join(_lines(folder, record)) + "\n")
    if not found:
        click.echo(f"no trial in {results} ended as {status}", err=True)


def _folders(results: Path) -> list[Path]:
    """Return the results folders inside `results`, or `results` itself if it is one."""
    return sorted(path.parent for path in results.glob(f"**/{store.JOURNAL}"))


def _records(folder: Path, *, all_kept: bool) -> tuple[Record, ...]:
    """Return the folder's records: all that are kept, or those that its report is about.

    A folder that cannot be read is told, and stands in the way of no other.
    """
    try:
        records = store.read(folder).records
        return records if all_kept else launch.current(records, store.read_planned(folder))
    except store.StoreError as error:
        click.echo(f"left out: {error}", err=True)
        return ()


def _lines(folder: Path, record: Record) -> Iterator[str]:
    trial = record.trial
    status = click.style(record.status, fg=words.COLOURS[record.status], bold=True)
    yield f"{trial.id}  {status}  {trial}"
    yield f"  in        {folder}, on {record.node or 'no node'}"
    if record.reason:
        yield "  reason    " + record.reason.replace("\n", "\n            ")
    if record.advice:
        yield f"  advice    {record.advice}"
    yield f"  gradient  {trial.implementation.gradient}"
    for clip in trial.implementation.clips:
        yield f"  clip      {clip}"
    threads = words.plural(trial.threads, "thread")
    yield f"  numbers   {trial.dtype}, {threads}, {trial.optimizer}, seed {trial.seed}"
    lasted = record.ended - record.started
    yield f"  lasted    {words.duration(lasted)}, attempt {record.attempts}"
    for name, value in record.values.items():
        yield f"  {name} = {_short(value)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= words.REASON_LETTERS else text[: words.REASON_LETTERS - 1] + "…"
