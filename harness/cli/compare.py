"""`bptt compare`: two runs of a sweep, and whether the new one is worse."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import exits, report
from harness.registry import ConfigurationError, Mistake

if TYPE_CHECKING:
    from harness.report.compare import Comparison, Regression, Run, Threshold

STANDARD_OUTPUT = "-"


@click.command("compare")
@click.argument("base", type=Path)
@click.argument("new", type=Path)
@click.option(
    "--fail-on",
    "limits",
    multiple=True,
    metavar="MEASURE:PERCENT",
    help="speed:10% or memory:5%: exit with 4 if NEW surely takes so much more.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse unlike machines, and a --fail-on that too few blocks cannot decide.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one JSON object.")
@click.option("--markdown", metavar="FILE", help="Write Markdown for a CI summary; - prints it.")
@click.pass_context
def command(
    ctx: click.Context,
    base: Path,
    new: Path,
    limits: tuple[str, ...],
    strict: bool,
    as_json: bool,
    markdown: str | None,
) -> None:
    """Compare the results folder NEW with BASE, trial by trial.

    Times are compared over the floor, the bare matrix products timed in the same trial, so that a
    machine that is slower today is no regression. Exits with 4 only if a whole interval lies
    beyond a --fail-on, or what BASE did cannot be done any more.
    """
    thresholds = _thresholds(limits)
    from harness.report.compare import compare, judged  # imports pandas
    from harness.report.compare.layout import as_markdown, as_text

    compared = compare(_run(base), _run(new))
    _refuse(compared, thresholds, strict)
    found = judged(compared, thresholds)
    if markdown is not None:
        _write(markdown, as_markdown(compared, found))
    if as_json:
        click.echo(json.dumps(_data(compared, found), default=str))
    elif markdown != STANDARD_OUTPUT:
        click.echo(as_text(compared, found))
    if found:
        ctx.exit(exits.REGRESSION)


def _thresholds(limits: tuple[str, ...]) -> tuple[Threshold, ...]:
    from harness.report.compare import Threshold  # imports pandas

    found, mistakes = [], []
    for text in limits:
        try:
            found.append(Threshold.parse(text))
        except ValueError as error:
            mistakes.append(Mistake("--fail-on", str(error)))
    if mistakes:
        raise ConfigurationError(*mistakes)
    return tuple(found)


def _run(folder: Path) -> Run:
    from harness.report.compare import Run  # imports pandas

    kept = report.source(folder)
    return Run(str(folder), kept.records)


def _refuse(compared: Comparison, thresholds: tuple[Threshold, ...], strict: bool) -> None:
    """Say what cannot be decided; under --strict, refuse it, and unlike machines.

    Raises:
        ConfigurationError: --strict does not allow this.
    """
    from harness.report.compare import undecidable

    weak = undecidable(compared, thresholds)
    said = f"{len(weak)} comparisons rest on too few blocks for --fail-on to decide"
    if strict:
        reasons = [f"the machines are not the same: {one}" for one in compared.machines]
        reasons += [said] if weak else []
        if reasons:
            raise ConfigurationError(*(Mistake("--strict", reason) for reason in reasons))
    if weak:
        click.echo(f"{said}; run more blocks, or add --strict to refuse them", err=True)


def _write(place: str, text: str) -> None:
    if place == STANDARD_OUTPUT:
        click.echo(text, nl=False)
        return
    try:
        Path(place).write_text(text, encoding="utf-8")
    except OSError as error:
        what = f"{place} cannot be written: {error.strerror}"
        raise ConfigurationError(Mistake("--markdown", what)) from error


def _data(compared: Comparison, found: tuple[Regression, ...]) -> dict[str, object]:
    return {**asdict(compared), "regressions": [asdict(one) for one in found]}
