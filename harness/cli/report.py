"""`bptt report`: the report of one or more results folders, from their records alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import launch, store
from harness.sweep import described, relabelled

if TYPE_CHECKING:
    from harness.report.content import Source

SWEEP = "sweep.toml"
MADE_BY = "# "  # begins the line that keeps the command


@click.command("report")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=Path)
@click.option("--into", type=Path, help="Where to write it; usually DIR/report.")
@click.option("--json", "as_json", is_flag=True, help="Print the page's path as JSON.")
def command(folders: tuple[Path, ...], into: Path | None, as_json: bool) -> None:
    """Write the report of results folders; several are laid side by side, never pooled."""
    usual = folders[0] if len(folders) == 1 else folders[0].parent
    page = written(folders, into or usual / "report")
    click.echo(json.dumps({"report": str(page)}) if as_json else f"report  {page}")


def written(folders: tuple[Path, ...], into: Path) -> Path:
    """Write the report of the folders and return the path of its page."""
    from harness.report.write import write  # imports matplotlib

    return write([source(folder) for folder in folders], into)


def source(folder: Path) -> Source:
    """Return a results folder as the report wants it."""
    from harness.report.content import Source  # imports pandas

    journal = store.read(folder)
    text = (folder / SWEEP).read_text(encoding="utf-8") if (folder / SWEEP).exists() else ""
    first, _, rest = text.partition("\n")
    expected = store.read_expected(folder)
    return Source(
        name=folder.name,
        description=described(rest),
        sweep_toml=rest,
        records=relabelled(launch.current(journal.records, store.read_planned(folder)), rest),
        unreadable_lines=journal.unreadable_lines,
        command=first.removeprefix(MADE_BY),
        expected=expected.trials,
        basis=expected.basis,
    )
