"""TOML to a sweep: a typo is refused with file, line and a suggestion, every mistake at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.registry import Registry
from harness.registry.mistake import ConfigurationError, Mistake
from harness.registry.plugin import Kind, PluginError
from harness.sweep import complaints
from harness.sweep.draft import Draft
from harness.sweep.exclude import Exclude, read_excludes
from harness.sweep.form import Axes, Form
from harness.sweep.locate import Path as Place
from harness.sweep.series import bad_baselines, duplicates, many_baselines, series
from harness.trial import PROTOCOLS, Choice, Implementation, Limits

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # names a folder, on any system


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to be compared, checked."""

    name: str
    description: str
    blocks: Mapping[str, int]
    seed: int
    axes: Axes
    implementations: tuple[Implementation, ...]
    excludes: tuple[Exclude, ...]
    passes: tuple[str, ...]
    aa_copy: bool
    protocols: Mapping[str, Mapping[str, int | float]]
    limits: Limits
    plugins: tuple[str, ...]


def read(draft: Draft, registry: Registry, plugins: tuple[Path, ...] = ()) -> Sweep:
    """Return the sweep that a draft asks for; `plugins` are files beside those it names.

    Raises:
        ConfigurationError: with every mistake that was found.
    """
    wrong = [*bad_baselines(draft), *_bad_name(draft)]
    excludes = read_excludes(draft, wrong)
    try:
        form = TypeAdapter(Form).validate_python(draft.data, context=registry)
    except ValidationError as error:
        raise ConfigurationError(*complaints.mistakes(error, draft), *wrong) from None
    labelled = series(form.implementation)
    wrong.extend(many_baselines(labelled, draft))
    wrong.extend(duplicates(labelled, registry, draft))
    wrong.extend(_refused(form, registry, draft))
    wrong.extend(_too_long(form, draft))
    if wrong:
        raise ConfigurationError(*wrong)
    return Sweep(
        name=form.sweep.name or Path(draft.file).stem,
        description=form.sweep.description,
        blocks=form.sweep.blocks,
        seed=form.sweep.seed,
        axes=form.axes,
        implementations=tuple(implementation for _, implementation in labelled),
        excludes=excludes,
        passes=tuple(form.measure.passes),
        aa_copy=form.measure.aa_copy,
        protocols=_protocols(form),
        limits=Limits(form.limits.trial_timeout, form.limits.memory),
        plugins=tuple(str(path.absolute()) for path in (*draft.plugins, *plugins)),
    )


def _bad_name(draft: Draft) -> Iterator[Mistake]:
    header = draft.data.get("sweep", {})
    name = header.get("name", "x") if isinstance(header, dict) else "x"
    if isinstance(name, str) and not NAME.fullmatch(name):
        yield draft.mistake(
            ("sweep", "name"), f"{name!r} must name a folder: letters, digits, '.', '_' and '-'"
        )


def _refused(form: Form, registry: Registry, draft: Draft) -> Iterator[Mistake]:
    """Yield what plugins themselves refuse; those that never do are not imported for it."""
    named: list[tuple[Place, Kind, tuple[Choice, ...]]] = []
    for index, entry in enumerate(form.implementation):
        named.append((("implementation", index, "gradient"), "gradients", entry.gradient))
        for number, clip in enumerate(entry.clip):
            named.append((("implementation", index, "clip", number), "clips", clip))
    for number, cell in enumerate(form.axes.cell):
        named.append((("axes", "cell", number), "cells", cell))
    for number, task in enumerate(form.axes.task):
        named.append((("axes", "task", number), "tasks", task))
    for place, kind, choices in named:
        for choice in choices:
            if choice.params and registry.find(kind, choice.use).checks:
                yield from _tried(place, kind, choice, registry, draft)


def _too_long(form: Form, draft: Draft) -> Iterator[Mistake]:
    """Yield that a training's seconds do not fit into those of a trial, which would lose it."""
    budget, limit = form.measure.training.get("budget_seconds"), form.limits.trial_timeout
    if budget is not None and budget >= limit:
        what = f"{budget:g} s do not fit into limits.trial_timeout, {limit:g} s; raise that"
        yield draft.mistake(("measure", "training", "budget_seconds"), what)


def _tried(
    place: Place, kind: Kind, choice: Choice, registry: Registry, draft: Draft
) -> Iterator[Mistake]:
    sizes = (1, 1) if kind == "cells" else ()
    try:
        registry.build(kind, choice, *sizes)
    except (PluginError, ValueError) as error:
        yield draft.mistake(place, f"{choice}: {error}")


def _protocols(form: Form) -> Mapping[str, Mapping[str, int | float]]:
    """Return every measurement's settings; what is not asked for is no part of a trial's id."""
    given = {
        "speed": form.measure.speed,
        "memory": form.measure.memory,
        "gradients": form.measure.gradients,
        "training": form.measure.training,
        "capacity": form.measure.capacity,
    }
    every = {name: asdict(PROTOCOLS[name](**settings)) for name, settings in given.items()}
    return {
        name: {key: value for key, value in protocol.items() if value is not None}
        for name, protocol in every.items()
    }
