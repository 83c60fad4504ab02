"""`bptt new`: a plugin of the user's own, begun from the template that stands beside its kind."""

from __future__ import annotations

import json
import keyword
import re
from pathlib import Path

import click

from harness.registry import KINDS, ConfigurationError, Kind, Mistake, Registry
from harness.registry.find import FOLDERS, ROOT
from harness.registry.plugin import read

EXAMPLE = r"\bmy_(rule|clip|cell|task)\b"  # how the templates call what they will become


@click.command("new")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the path as a JSON text.")
def command(kind: Kind, name: str, as_json: bool) -> None:
    """Start a plugin: copy the template of KIND to NAME.py, where the next sweep finds it."""
    path = _place(kind, name)
    template = path.with_name("_template.py")
    title = "".join(part.capitalize() for part in name.split("_"))
    text = re.sub(EXAMPLE, name, template.read_text(encoding="utf-8"))
    path.write_text(re.sub(rf"\b{read(template).class_name}\b", title, text), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(str(path)))
        return
    click.echo(f"{path}\nnext: edit it, then: bptt check {name}")


def _place(kind: Kind, name: str) -> Path:
    """Return where the plugin goes.

    Raises:
        ConfigurationError: the name cannot name a plugin, or names one already.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        what = f"{name!r} cannot name a Python file that is imported; try letters, digits and '_'"
        raise ConfigurationError(Mistake("", what))
    known = {plugin.name: plugin for plugin in Registry.scan().of(kind)}
    if name in known:
        what = f'"{name}" is there already: {known[name].path}; choose another name'
        raise ConfigurationError(Mistake("", what))
    return ROOT.joinpath(*FOLDERS[kind].split("."), f"{name}.py")
