"""The implementations that a sweep compares: one baseline, no two alike, each with its label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from harness.registry import Registry
from harness.registry.mistake import Mistake
from harness.registry.plugin import Kind
from harness.sweep.draft import Draft, dotted
from harness.sweep.form import Entry
from harness.sweep.locate import Path
from harness.trial import Choice, Implementation

Placed = tuple[Path, Implementation]  # with the table that it comes from


def bad_baselines(draft: Draft) -> Iterator[Mistake]:
    """Yield what is wrong with the number of baselines, whatever else is wrong with the file."""
    entries = draft.data.get("implementation")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return  # the form says it
    marked = [index for index, entry in enumerate(entries) if entry.get("baseline")]
    if not marked:
        yield draft.mistake(
            ("implementation",), "none is the baseline; add to one of them: baseline = true"
        )
    for extra in marked[1:]:
        yield draft.mistake(
            ("implementation", extra, "baseline"),
            f"implementation[{marked[0]}] is the baseline already; there is one",
        )


def series(entries: Iterable[Entry]) -> list[Placed]:
    """Return every implementation, with the place of the table that it comes from."""
    return [
        (("implementation", index), implementation)
        for index, entry in enumerate(entries)
        for implementation in _of_entry(entry)
    ]


def _of_entry(entry: Entry) -> Iterator[Implementation]:
    """Yield one implementation for every combination of its own parameters."""
    combinations = list(product(entry.gradient, *entry.clip))
    names = [" + ".join(str(choice) for choice in combination) for combination in combinations]
    if entry.name:
        names = [f"{entry.name}{varied}" for varied in _varied(combinations)]
    for name, (gradient, *clips) in zip(names, combinations, strict=True):
        yield Implementation(gradient, tuple(clips), name, entry.baseline)


def _varied(combinations: list[tuple[Choice, ...]]) -> list[str]:
    """Return, for each combination, the parameters in which it differs: "(depth=16)"."""
    flat = [
        {(n, key): value for n, choice in enumerate(one) for key, value in choice.params.items()}
        for one in combinations
    ]
    keys = [key for key in flat[0] if len({str(values[key]) for values in flat}) > 1]
    texts = [", ".join(f"{key[1]}={values[key]}" for key in keys) for values in flat]
    return [f"({text})" if text else "" for text in texts]


def duplicates(labelled: Iterable[Placed], registry: Registry, draft: Draft) -> Iterator[Mistake]:
    """Yield every implementation or label that is there twice."""
    labels: dict[str, Path] = {}
    contents: dict[str, Path] = {}
    for place, one in labelled:
        content = _content(one, registry)
        if content in contents:
            first = dotted(contents[content])
            yield draft.mistake(place, f"{one.label} is the same as {first}; drop one")
        elif one.label in labels:
            first = dotted(labels[one.label])
            what = f'{first} is called "{one.label}" already; give one of them another name'
            yield draft.mistake(place, what)
        contents.setdefault(content, place)
        labels.setdefault(one.label, place)


def many_baselines(labelled: Iterable[Placed], draft: Draft) -> Iterator[Mistake]:
    """Yield a mistake where the lists of the baseline's own table make several of it."""
    places = [place for place, one in labelled if one.baseline]
    if len(places) > 1 and len(set(places)) == 1:
        what = f"its lists make {len(places)} baselines; there is one: give each a single value"
        yield draft.mistake(places[0], what)


def _content(one: Implementation, registry: Registry) -> str:
    """Return the same text for two implementations that compute the same."""
    choices: list[tuple[Kind, Choice]] = [("gradients", one.gradient)]
    choices.extend(("clips", clip) for clip in one.clips)
    whole = []
    for kind, choice in choices:
        parameters = registry.find(kind, choice.use).parameters
        usual = {parameter.name: parameter.default for parameter in parameters}
        given = {name: repr(value) for name, value in choice.params.items()}
        whole.append((choice.use, sorted({**usual, **given}.items())))
    return repr(whole)
