"""A few short trials, run before a sweep to learn how fast this machine is, and remembered.

They are real trials with the shortest of protocols. A dry run times them and keeps them in the
user's cache, where the sweep that follows finds them; a results folder never sees them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import cast

from harness import data
from harness.cli.plan import Options, Plan
from harness.executors import local, ray
from harness.executors.settings import Settings
from harness.forecast.demand import series
from harness.trial import (
    Limits,
    MemoryProtocol,
    Record,
    SpeedProtocol,
    TrainingProtocol,
    Trial,
)

FOLDER = "probes"  # in the cache
TRIAL_SECONDS = 10.0  # after which a probe is ended: it says enough that it takes longer
SPEED = SpeedProtocol(
    warmup_sequences=1,
    warmup_seconds=0.0,
    min_samples=3,
    min_seconds=0.0,
    max_samples=3,
    max_seconds=1.0,
    min_sample_seconds=0.0,
    phase_sequences=1,
)
TRAINING = TrainingProtocol(sequences=2, evaluations=1)
PROTOCOLS = {
    "speed": asdict(SPEED),
    "memory": asdict(MemoryProtocol()),
    "training": asdict(TRAINING),
}
OTHERS = ("gradients", "training")


@dataclass(frozen=True, slots=True)
class Probes:
    """What was timed, of how many that would have been, and when."""

    records: tuple[Record, ...]
    wanted: int
    at: float  # seconds since 1970; 0: never


def wanted(plan: Plan) -> list[Trial]:
    """Return the probes in the order of their worth.

    Time and memory of each method on each cell, at the shortest length and a middle one, and at
    the widest model where there are several; the other passes on the baseline alone, as most of
    what they do is alike for all.
    """
    missing = set(data.missing(plan.packs))
    ready = [
        each.trial
        for each in plan.planned
        if each.skip_reason is None
        and not missing & set(plan.registry.find("tasks", each.trial.task.use).packs)
    ]
    lengths = sorted({trial.sequence_length for trial in ready})
    widths = sorted({_width(trial) for trial in ready})
    found: dict[str, Trial] = {}
    for place, width in ((0, 0), (len(lengths) // 2, 0), (0, -1)) if ready else ():
        at = (lengths[place], widths[width])
        alike = [trial for trial in ready if (trial.sequence_length, _width(trial)) == at]
        for trial in [*_each_series(alike, plan.sweep.passes), *_each_pass(alike)]:
            found.setdefault(trial.id, trial)
    return list(found.values())


def _width(trial: Trial) -> tuple[int, int]:
    return trial.hidden_size * trial.batch_size, trial.hidden_size


def _each_series(trials: Sequence[Trial], passes: Sequence[str]) -> Iterator[Trial]:
    """Yield a timing of every series, then its memory where the sweep measures that."""
    firsts: dict[tuple[str, ...], Trial] = {}
    for trial in trials:
        firsts.setdefault(series(trial), trial)
    yield from (_short(trial, "speed") for trial in firsts.values())
    if "memory" in passes:
        yield from (_short(trial, "memory") for trial in firsts.values())


def _each_pass(trials: Sequence[Trial]) -> Iterator[Trial]:
    """Yield one trial of each other pass on each cell."""
    chosen: dict[tuple[str, str], Trial] = {}
    for trial in trials:
        key = trial.measurement, str(trial.cell)
        if trial.measurement in OTHERS and (key not in chosen or trial.implementation.baseline):
            chosen[key] = trial
    yield from (_short(trial, trial.measurement) for trial in chosen.values())


def _short(trial: Trial, measurement: str) -> Trial:
    return replace(
        trial,
        measurement=measurement,
        block=0,
        replica=0,
        protocol=PROTOCOLS.get(measurement, trial.protocol),
        limits=Limits(TRIAL_SECONDS, trial.limits.memory_bytes),
    )


def timed(plan: Plan, options: Options) -> Probes:
    """Return what probes gave within the seconds that they may take; for 0, those of last time."""
    trials = wanted(plan)
    if not trials or not options.probe_seconds:
        return remembered(plan, options)
    records = []
    run = local.run if options.cluster is None else ray.run
    deadline = time.monotonic() + options.probe_seconds
    # Both executors are generator functions; closing one ends the trials that are left.
    running = cast(Generator[Record, None, None], run(trials, Settings(options.cluster)))
    with closing(running):
        for record in running:
            records.append(record)
            if time.monotonic() > deadline:
                break
    found = Probes(tuple(records), len(trials), time.time())
    _remember(plan, options, found)
    return found


def remembered(plan: Plan, options: Options) -> Probes:
    """Return the probes that a dry run of this sweep timed here; none, if there was none."""
    trials = wanted(plan)
    try:
        kept = json.loads(_path(trials, options).read_text(encoding="utf-8"))
        records = tuple(Record.from_json(one) for one in kept["records"])
        return Probes(records, len(trials), float(kept["at"]))
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or of another version
        return Probes((), len(trials), 0.0)


def _remember(plan: Plan, options: Options, probes: Probes) -> None:
    """Keep the probes; a cache that cannot be written is no reason to stop."""
    path = _path(wanted(plan), options)
    beside = path.with_suffix(f".{os.getpid()}")
    kept = {"at": probes.at, "records": [record.to_json() for record in probes.records]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(kept), encoding="utf-8")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)


def _path(trials: Sequence[Trial], options: Options) -> Path:
    """Return where probes of these trials on this machine, or cluster, are kept."""
    place = (platform.node(), version("torch"), options.cluster, *sorted(t.id for t in trials))
    name = hashlib.sha256(repr(place).encode()).hexdigest()[:16]
    return data.cache_folder() / FOLDER / f"{name}.json"
