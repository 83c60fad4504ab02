"""`bptt check`: whether a plugin keeps its promises."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli import check_all, exits
from harness.registry import KINDS, ConfigurationError, Mistake, Plugin, Registry, meant
from harness.trial import Choice

COLOURS = {"kept": "green", "broken": "red", "skipped": "yellow"}


@click.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Every plugin there is, and one table.")
@click.option("--plugin", "files", multiple=True, type=Path, help="A plugin file of your own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(
    ctx: click.Context, names: tuple[str, ...], every: bool, files: tuple[Path, ...], as_json: bool
) -> None:
    """Try the promises of plugins: NAME, or KIND/NAME where two kinds share a name.

    Of all, what is broken is shown, and a table of every gradient method on every cell.
    """
    registry = Registry.scan(files)
    if not names and not every:
        raise click.UsageError("name a plugin, or say --all")
    if every:
        tried = check_all.try_all(registry)
        for line in check_all.json_lines(tried) if as_json else check_all.lines(tried):
            click.echo(line)
        broken = [one.plugin for one in tried if one.broken]
    else:
        plugins = _named(registry, names)
        broken = [plugin for plugin in plugins if not _kept(registry, plugin, as_json)]
    if broken:
        wrong_gradient = any(plugin.kind == "gradients" for plugin in broken)
        ctx.exit(exits.DISAGREES if wrong_gradient else exits.FAILED_TRIALS)


def _named(registry: Registry, names: tuple[str, ...]) -> list[Plugin]:
    found, mistakes = [], []
    for name in names:
        matching = [plugin for plugin in registry.plugins if name in (plugin.name, plugin.key)]
        if not matching:
            known = [plugin.name for plugin in registry.plugins]
            what = f'there is no plugin "{name}"{meant(name, known)} There are: {", ".join(known)}'
            mistakes.append(Mistake("", what))
        found.extend(matching)
    if mistakes:
        raise ConfigurationError(*mistakes)
    return found


def _kept(registry: Registry, plugin: Plugin, as_json: bool) -> bool:
    """Show every promise of the plugin and return whether none is broken."""
    from harness.check import check  # imports torch

    assert plugin.kind in KINDS
    registry.find(plugin.kind, plugin.name)
    kept = True
    for finding in check(registry, plugin.kind, Choice(plugin.name)):
        kept = kept and finding.verdict != "broken"
        if as_json:
            click.echo(json.dumps({"kind": plugin.kind, **asdict(finding)}))
            continue
        verdict = click.style(f"{finding.verdict:8}", fg=COLOURS[finding.verdict])
        told = f": {finding.detail}" if finding.detail else ""
        click.echo(f"{verdict}{finding.plugin}  {finding.promise}, {finding.place}{told}")
    return kept
