"""`bptt list`: which plugins there are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.registry import KINDS, Kind, Plugin, Registry


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--plugin", "files", multiple=True, type=Path, help="A plugin file of your own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(kind: Kind | None, files: tuple[Path, ...], as_json: bool) -> None:
    """List the plugins, with the parameters that a sweep can set."""
    registry = Registry.scan(files)
    for one in [kind] if kind else KINDS:
        plugins = registry.of(one)
        if as_json:
            for plugin in plugins:
                click.echo(json.dumps(_data(plugin)))
            continue
        click.secho(one, bold=True)
        for plugin in plugins:
            click.echo("\n".join(_lines(plugin)))
        click.echo()


def _lines(plugin: Plugin) -> list[str]:
    if plugin.unavailable:
        return [f"  {plugin.name}", f"      unavailable: {plugin.unavailable} ({plugin.path})"]
    shown = ", ".join(str(parameter) for parameter in plugin.parameters)
    packs = [f"      data: {', '.join(plugin.packs)}"] if plugin.packs else []
    return [f"  {plugin.name}({shown})", f"      {plugin.summary}", *packs]


def _data(plugin: Plugin) -> dict[str, object]:
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "path": str(plugin.path),
        "summary": plugin.summary,
        "source": plugin.source,
        "parameters": {
            parameter.name: {"type": parameter.annotation, "default": parameter.default}
            for parameter in plugin.parameters
        },
        "packs": plugin.packs,
        "sha256": plugin.sha256,
        "unavailable": plugin.unavailable or None,
    }
