"""`bptt new`: a plugin of the user's own, or the job script of a cluster, begun from a template."""

from __future__ import annotations

import json
import keyword
import re
from importlib.metadata import version
from pathlib import Path
from typing import cast

import click

from harness.registry import KINDS, ConfigurationError, Kind, Mistake, Registry
from harness.registry.find import FOLDERS, ROOT
from harness.registry.plugin import read

EXAMPLE = r"\bmy_(rule|clip|cell|task)\b"  # how the templates call what they will become
TEMPLATES = Path(__file__).parent.parent / "templates"
CLUSTERS = {"slurm": ".sh", "kuberay": ".yaml"}  # kind of cluster -> how its job's file ends
CLUSTER_NAME = r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?"  # of Kubernetes, whose pods' names are longer
NEXT = {
    "slurm": "next: edit its #SBATCH lines, then: sbatch {path} quick",
    "kuberay": "next: edit image, pods and volumes, then do as its first lines say",
}


@click.command("new")
@click.argument("kind", type=click.Choice([*KINDS, *CLUSTERS]))
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the path as a JSON text.")
def command(kind: str, name: str | None, as_json: bool) -> None:
    """Start a plugin, or a job for a cluster, from the template of KIND.

    A plugin becomes NAME.py where the next sweep finds it; a job for Slurm or KubeRay becomes
    NAME.sh or NAME.yaml in this folder.
    """
    if kind in CLUSTERS:
        path, following = _job(kind, name or "bptt")
    else:
        path, following = _plugin(cast(Kind, kind), name)
    click.echo(json.dumps(str(path)) if as_json else f"{path}\n{following}")


def _job(kind: str, name: str) -> tuple[Path, str]:
    """Write the job and return its path and what comes next."""
    path = Path(name + CLUSTERS[kind])
    if not re.fullmatch(CLUSTER_NAME, name):
        what = f"{name!r} cannot name a job; try lower-case letters, digits and '-'"
        raise ConfigurationError(Mistake("", what))
    if path.exists():
        raise ConfigurationError(Mistake("", f"{path} is there already; choose another name"))
    text = (TEMPLATES / kind).with_suffix(CLUSTERS[kind]).read_text(encoding="utf-8")
    text = re.sub(r"\bNAME\b", name, text).replace("RAY_VERSION", version("ray"))
    path.write_text(text, encoding="utf-8")
    return path, NEXT[kind].format(path=path)


def _plugin(kind: Kind, name: str | None) -> tuple[Path, str]:
    """Write the plugin and return its path and what comes next."""
    if name is None:
        raise click.UsageError("Missing argument 'NAME'.")
    path = _place(kind, name)
    template = path.with_name("_template.py")
    title = "".join(part.capitalize() for part in name.split("_"))
    text = re.sub(EXAMPLE, name, template.read_text(encoding="utf-8"))
    path.write_text(re.sub(rf"\b{read(template).class_name}\b", title, text), encoding="utf-8")
    return path, f"next: edit it, then: bptt check {name}"


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
