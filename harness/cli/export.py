"""`bptt export`: every record as one tidy row, for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import report
from harness.registry import ConfigurationError, Mistake

if TYPE_CHECKING:
    import pandas as pd


@click.command("export")
@click.argument("folder", metavar="DIR", type=Path)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "json"]),
    default="csv",
    show_default=True,
    help="json: one object a line.",
)
@click.option("--into", type=Path, help="The file to write; usually DIR/trials.FORMAT.")
@click.option("--json", "as_json", is_flag=True, help="Print the file's path as JSON.")
def command(folder: Path, form: str, into: Path | None, as_json: bool) -> None:
    """Write the records of a results folder as one table: a row a trial, in base units."""
    if form == "parquet" and find_spec("pyarrow") is None:
        what = "parquet needs pyarrow, which is not installed: pip install pyarrow, or use csv"
        raise ConfigurationError(Mistake("--format", what))
    from harness.report.metrics import frame  # imports pandas

    kept = report.source(folder)
    path = into or folder / f"trials.{form}"
    try:
        WRITERS[form](frame(kept.records, kept.name), path)
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror or error}"
        raise ConfigurationError(Mistake("--into", what)) from error
    rows = len(kept.records)
    click.echo(
        json.dumps({"path": str(path), "rows": rows}) if as_json else f"{rows:,} rows  {path}"
    )


def _csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")


def _parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, engine="pyarrow", index=False)


def _json(table: pd.DataFrame, path: Path) -> None:
    table.to_json(path, orient="records", lines=True, double_precision=15)


WRITERS: Mapping[str, Callable[[pd.DataFrame, Path], None]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
}
