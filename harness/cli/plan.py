"""What a sweep is going to do: found, checked and counted before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import environment, sweep
from harness.cli import address, words
from harness.executors import inline, ray
from harness.executors.settings import OnStart, Settings, Site
from harness.registry import ConfigurationError, DeviceError, Mistake, Registry
from harness.sweep import Planned, Sweep, match
from harness.trial import Record, Trial


@dataclass(frozen=True, slots=True)
class Executor:
    """A way to run trials."""

    run: Callable[[Sequence[Trial], Settings, OnStart], Iterator[Record]]
    look: Callable[[Settings], Site]
    parallel: bool  # trials that are not timed share a node


EXECUTORS: Mapping[str, Executor] = {
    "ray": Executor(ray.run, ray.look, parallel=True),
    "inline": Executor(inline.run, lambda _: Site(environment.devices()), parallel=False),
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    preset: str
    sets: tuple[str, ...]
    only: str
    dry_run: bool
    probe_seconds: float
    resume: bool
    rerun: str
    address: str | None
    executor: str
    plugins: tuple[Path, ...]
    name: str | None
    results: Path
    offline: bool
    allowed: tuple[str, ...]
    as_json: bool
    ray_output: bool

    @property
    def cluster(self) -> str | None:
        """Return the address of the cluster to run on; None: this machine."""
        return address.cluster(self.address)


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep, checked, and its trials."""

    sweep: Sweep
    registry: Registry
    every: tuple[Planned, ...]  # trial of the sweep
    planned: tuple[Planned, ...]  # those that --only leaves
    again: tuple[match.Condition, ...]  # which records are to be made anew
    folder: Path
    executor: Executor
    settings: Settings
    site: Site

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of every trial of the sweep: what its report is about."""
        return frozenset(each.trial.id for each in self.every)

    @property
    def parallel(self) -> bool:
        """Return whether trials that are not timed run side by side."""
        return self.executor.parallel

    @property
    def packs(self) -> list[str]:
        """Return the data packs that its trials read."""
        tasks = {each.trial.task.use for each in self.planned if each.skip_reason is None}
        return sorted({pack for task in tasks for pack in self.registry.find("tasks", task).packs})


def made(options: Options) -> Plan:
    """Return the plan.

    Raises:
        ConfigurationError: with every mistake that was found.
    """
    only = _conditions("--only", options.only, match.OF_TRIAL)
    again = _conditions("--rerun", options.rerun, match.OF_RECORD)
    draft = sweep.open_draft(options.preset, options.sets)
    if options.name is not None:
        draft = sweep.with_name(draft, options.name)
    if absent := draft.absent_plugins():
        raise ConfigurationError(*absent)
    registry = Registry.scan([*draft.plugins, *options.plugins])
    wanted = sweep.read(draft, registry, options.plugins)
    executor, settings = EXECUTORS[options.executor], _settings(options)
    try:
        site = executor.look(settings)
        settled = sweep.settle(wanted, site.devices)
    except DeviceError as error:  # which knows no file
        found = (draft.mistake(("axes", "device"), each.what) for each in error.mistakes)
        raise DeviceError(*found) from None
    every = sweep.expand(settled, settled.axes.device, registry)
    planned = [each for each in every if match.all_hold(only, match.facts_of(each.trial))]
    if not planned:
        what = f"{options.only!r} leaves none of {words.plural(len(every), 'trial')} to run"
        why = match.unmet(only, [each.trial for each in every])
        raise ConfigurationError(Mistake("--only", f"{what}: {why}" if why else what))
    folder = options.results / settled.name
    return Plan(settled, registry, every, tuple(planned), again, folder, executor, settings, site)


def _settings(options: Options) -> Settings:
    return Settings(options.cluster, ray_output=options.ray_output)


def _conditions(flag: str, text: str, keys: tuple[str, ...]) -> tuple[match.Condition, ...]:
    try:
        return match.parse(text, keys)
    except ValueError as error:
        raise ConfigurationError(Mistake(flag, str(error))) from error


def overview(plan: Plan) -> str:
    """Return "quick: 640 trials = 5 implementations x 4 sequence lengths x ..."."""
    axes = plan.sweep.axes
    sizes = {
        "implementation": len(plan.sweep.implementations),
        "sequence length": len(axes.sequence_length),
        "cell": len(axes.cells),
        "task": len(axes.tasks),
        "hidden size": len(axes.hidden_size),
        "batch size": len(axes.batch_size),
        "device": len(axes.device),
        "dtype": len(axes.dtype),
        "thread count": len(axes.threads),
        "update": len(axes.update),
        "optimizer": len(axes.optimizer),
        "learning rate": len(axes.learning_rate),
    }
    factors = " x ".join(words.plural(n, noun) for noun, n in sizes.items() if n > 1)
    copied = {"speed": " with an A/A copy of the baseline"} if plan.sweep.aa_copy else {}
    blocks = ", ".join(
        f"{words.plural(plan.sweep.blocks[name], 'block')} of {name}{copied.get(name, '')}"
        for name in plan.sweep.passes
    )
    excluded = sum(each.skip_reason is not None for each in plan.planned)
    less = f"; {excluded:,} are excluded" if excluded else ""
    total = words.plural(len(plan.every), "trial")
    part = f"{len(plan.planned):,} of " if len(plan.planned) < len(plan.every) else ""
    return f"{plan.sweep.name}: {part}{total} = {factors or '1 point'}, in {blocks}{less}"


def command_line(options: Options) -> list[str]:
    """Return the command that begins this sweep: all but --resume, --rerun, and a dry run's."""
    given = [("--set", text) for text in options.sets]
    given += [("--only", options.only)] if options.only else []
    given += [("--address", options.address)] if options.address else []
    given += [("--executor", options.executor)] if options.executor != "ray" else []
    given += [("--plugin", str(path)) for path in options.plugins]
    given += [("--name", options.name)] if options.name else []
    given += [("--results", str(options.results))] if str(options.results) != "results" else []
    given += [("--allow-failures", ",".join(options.allowed))] if options.allowed else []
    flags = ["--offline"] if options.offline else []
    flags += ["--ray-output"] if options.ray_output else []
    flags += ["--json"] if options.as_json else []
    return ["bptt", "sweep", options.preset, *(part for pair in given for part in pair), *flags]
