"""`bptt sweep`: run a sweep, keep every record as it comes, write the report."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness import data, launch
from harness.cli import address, dry_run, ending, exits, live, probes
from harness.cli import plan as plans
from harness.cli.display import Display
from harness.cli.estimate import expectations, forecast, machine
from harness.cli.fetch import announce
from harness.cli.plan import EXECUTORS, Options, Plan
from harness.cli.report import MADE_BY, SWEEP
from harness.cli.tally import Tally
from harness.forecast.progress import Progress
from harness.registry import ConfigurationError, Mistake
from harness.store import JOURNAL, Store, StoreError, write_expected, write_planned
from harness.sweep import Planned, resolved
from harness.trial import STATUSES

OPEN = (
    "{address} asked for no token: whoever reaches a port of that cluster can run commands as its "
    "user; see `On a cluster` in the README"
)
PROFILER_LOG = "KINETO_LOG_LEVEL"  # of torch's profiler, which reads it when torch is imported
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # in the environment of what `ray job submit` starts
PROFILER_QUIET = "6"  # below it, the profiler tells when it starts and stops


def _statuses(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Return the statuses of `oom,timeout`."""
    named = tuple(part.strip() for part in value.split(",") if part.strip())
    unknown = [name for name in named if name not in STATUSES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is not one of {', '.join(STATUSES)}")
    return named


@click.command("sweep")
@click.argument("preset", default="quick", metavar="[PRESET|FILE]")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Overrule the file.")
@click.option("--only", default="", metavar="EXPR", help='Part of it: "cell=lstm T>=128".')
@click.option("--dry-run", is_flag=True, help="Say what would run, and run nothing.")
@click.option(
    "--probe-seconds",
    type=click.FloatRange(min=0.0),
    default=20.0,
    show_default=True,
    help="What a dry run may spend on short trials, to tell how fast this machine is.",
)
@click.option("--resume", is_flag=True, help="Go on where an earlier command stopped.")
@click.option("--rerun", default="", metavar="EXPR", help='Run these again: "status=oom".')
@address.option
@click.option(
    "--executor",
    type=click.Choice(list(EXECUTORS)),
    default="ray",
    show_default=True,
    help="inline: every trial in this process, for a debugger, not for figures.",
)
@click.option("--plugin", "plugins", multiple=True, type=Path, help="A plugin file of your own.")
@click.option("--name", help="Another name than the file's, so another results folder.")
@click.option(
    "--results",
    type=Path,
    default=Path("results"),
    envvar="BPTT_RESULTS",
    show_default=True,
    show_envvar=True,
    help="The folder of all results folders.",
)
@click.option("--offline", is_flag=True, help="Download no data pack.")
@click.option(
    "--allow-failures",
    "allowed",
    default="",
    metavar="STATUS,...",
    callback=_statuses,
    help="Ends that do not count as failures: oom,timeout.",
)
@click.option("--ray-output", is_flag=True, help="Show what Ray and its workers print.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:  # Any: as click parsed them, see Options
    """Run a preset or a sweep file of your own, and write its report.

    The presets are quick, which is run where none is named, catalogue, lengths and paper.
    """
    options = _without_cluster(Options(**given), address.was_named(ctx))
    _refuse_to_lose(options)
    plan = plans.made(options)
    if plan.site.open:
        click.echo(OPEN.format(address=options.address), err=True)
    if options.dry_run:
        dry_run.shown(plan, options)
        return
    _refuse_to_mix(plan, options)
    _prepare_data(plan, options)
    ctx.exit(_run(plan, options))


def _without_cluster(options: Options, named: bool) -> Options:
    """Return the options of a sweep in this process, in which no cluster has a part.

    Raises:
        ConfigurationError: the command line names one all the same.
    """
    if options.executor != "inline" or options.cluster is None:
        return options
    if named:
        what = (
            f"{options.address!r} is a cluster, and --executor inline runs every trial in this "
            "process; leave one of the two out"
        )
        raise ConfigurationError(Mistake(address.FLAG, what))
    said = f"{address.VARIABLE} is {options.address!r}, which --executor inline makes no use of"
    click.echo(said, err=True)
    return replace(options, address=None)


def _refuse_to_lose(options: Options) -> None:
    """Raise where what is kept would be deleted: a Ray job's working directory ends with it."""
    if RAY_JOB not in os.environ or options.dry_run or options.results.is_absolute():
        return
    what = (
        f"{str(options.results)!r} is in the working directory of this Ray job, which Ray deletes; "
        "give an absolute path on a disk that stays, or set BPTT_RESULTS to one"
    )
    raise ConfigurationError(Mistake("--results", what))


def _refuse_to_mix(plan: Plan, options: Options) -> None:
    journal = plan.folder / JOURNAL
    if options.resume or options.rerun or not journal.exists() or not journal.stat().st_size:
        return
    raise StoreError(
        f"{plan.folder} holds records already; add --resume to go on with them, "
        "or --name NAME to begin another folder"
    )


def _prepare_data(plan: Plan, options: Options) -> None:
    """Have every data pack in the cache, verified."""
    if not options.offline:
        announce(plan.packs)
    for pack in plan.packs:
        if options.offline:
            data.read(pack)
        else:
            data.fetch(pack)


def _run(plan: Plan, options: Options) -> int:
    """Run what has no record yet, write the report, and return the exit code."""
    if options.executor == "inline":  # which shares its standard error with this command
        os.environ.setdefault(PROFILER_LOG, PROFILER_QUIET)
    began = time.monotonic()
    with Store(plan.folder) as kept:
        made_by = shlex.join(plans.command_line(options))
        text = f"{MADE_BY}{made_by}\n{resolved(plan.sweep)}"
        (plan.folder / SWEEP).write_text(text, encoding="utf-8")
        write_planned(plan.folder, plan.ids)
        launch.reopen(plan.planned, kept, plan.again)
        left = launch.pending(plan.planned, kept)
        progress, seconds = _foretell(plan, options, left)
        before = len(plan.planned) - len(left)
        tally = Tally(plan.sweep.name, len(plan.planned), before, progress)
        if not options.as_json:
            already = f"; {tally.before:,} are done already" if tally.before else ""
            click.echo(f"{plans.overview(plan)}{already}\nrecords  {plan.folder / JOURNAL}")
        try:
            shown = live.chosen(tally, options.as_json, options.ray_output)
            _watch(plan, kept, shown, seconds)
        except KeyboardInterrupt:
            again = shlex.join([*plans.command_line(options), "--resume"])
            said = f"interrupted; nothing that was recorded is lost. go on with: {again}"
            click.echo(said, err=True)
            return exits.INTERRUPTED
    return ending.told(plan, options, time.monotonic() - began)


def _foretell(
    plan: Plan, options: Options, left: Sequence[Planned]
) -> tuple[Progress, dict[str, float]]:
    """Keep what every trial is expected to take; return the ETA's model, and seconds by trial."""
    known = probes.remembered(plan, options)
    model = forecast(plan, known)
    expected = expectations(plan, model, known)
    write_expected(plan.folder, expected)
    trials = [each.trial for each in left if each.trial.id in expected.trials]
    seconds = {name: one.seconds for name, one in expected.trials.items()}
    return Progress(model, trials, machine(plan), time.monotonic), seconds


def _watch(plan: Plan, kept: Store, shown: Display, seconds: Mapping[str, float]) -> None:
    """Run the trials and show them."""

    def execute(trials: launch.Trials) -> launch.Records:
        settings = replace(plan.settings, expected=seconds)
        return plan.executor.run(trials, settings, shown.started)

    running = closing(launch.run(plan.planned, kept, execute))
    with _interruptible(shown), shown, running as records:
        for record in records:
            shown.kept(record)


@contextmanager
def _interruptible(shown: Display) -> Iterator[None]:
    """Say at once that an interrupt was heard; SIGTERM, from a CI or a batch system, is one too."""

    def interrupt(number: int, frame: object) -> None:
        shown.stopping()
        raise KeyboardInterrupt

    heard = [each for each in INTERRUPTS if signal.getsignal(each) is not signal.SIG_IGN]
    usual = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
