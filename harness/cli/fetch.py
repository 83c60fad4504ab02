"""`bptt fetch`: data packs, downloaded and verified before they are needed."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from harness import data


@click.command("fetch")
@click.argument("packs", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(packs: tuple[str, ...], as_json: bool) -> None:
    """Download and verify data packs: all of them where none is named.

    They are kept in the folder that BPTT_DATA names, or else in your user's cache folder.
    """
    for pack in packs or tuple(data.PACKS):
        if not as_json:
            announce([pack])
        path = data.fetch(pack)
        line = {"pack": pack, "path": str(path)}
        click.echo(json.dumps(line) if as_json else f"{pack}: verified, {path}")


def announce(packs: Iterable[str]) -> None:
    """Say what is about to be downloaded, from where and under which licence."""
    for pack in data.missing(packs):
        click.echo(data.announcement(pack), err=True)
