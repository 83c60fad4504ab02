"""`bptt sweep --dry-run`: what would run, and what it would take."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict

import click

from harness import data
from harness.cli import plan as plans
from harness.cli import probes, words
from harness.cli.estimate import Outlook, lines, outlook
from harness.cli.plan import Options, Plan


def shown(plan: Plan, options: Options) -> None:
    """Say what would run and what it would take."""
    if not options.as_json:
        click.echo(plans.overview(plan))
        if options.probe_seconds:
            seconds = words.duration(options.probe_seconds)
            click.echo(f"timing short trials, for at most about {seconds}", err=True)
    found = outlook(plan, probes.timed(plan, options))
    missing = data.missing(plan.packs)
    if options.as_json:
        click.echo(json.dumps({**_outlook_event(plan, found), "missing_packs": missing}))
        return
    for line in lines(found):
        click.echo(line)
    click.echo(f"nothing was kept in {plan.folder}. {_next(missing, options)}")


def _outlook_event(plan: Plan, found: Outlook) -> dict[str, object]:
    trials = {each.trial.id: str(each.trial) for each in plan.planned}
    expected = {name: asdict(one) for name, one in found.expected.items()}
    estimates = [
        {**asdict(one), "largest": None if one.largest is None else one.largest.id}
        for one in found.estimates
    ]
    plain = {"seconds": found.seconds, "spread": found.spread, "basis": found.basis}
    event = {"sweep": plan.sweep.name, **plain, "implementations": estimates}
    return {**event, "trials": trials, "expected": expected}


def _next(missing: list[str], options: Options) -> str:
    """Return how to go on after a dry run, which some data packs may have to come before."""
    start = f"start with: {shlex.join(plans.command_line(options))}"
    if not missing:
        return start
    packs = f"missing data: {', '.join(missing)}"
    if options.offline:
        fetch = shlex.join(["bptt", "fetch", *missing])
        return f"{packs}, and --offline downloads none, so first: {fetch}\n{start}"
    return f"{packs}, which the sweep downloads first. {start}"
