"""Which trials a sweep leaves out, and why: they are recorded as skipped, never dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.registry.mistake import Mistake
from harness.sweep import match
from harness.sweep.draft import Draft
from harness.sweep.locate import Path


@dataclass(frozen=True, slots=True)
class Exclude:
    """Trials that are not run, and why."""

    conditions: tuple[match.Condition, ...]
    reason: str
    written: Mapping[str, Any]  # Any: the TOML values, to write them again


def read_excludes(draft: Draft, wrong: list[Mistake]) -> tuple[Exclude, ...]:
    """Return the excludes, and add what is wrong with them to `wrong`."""
    entries = draft.data.get("exclude", [])
    return tuple(
        _read(entry, ("exclude", index), draft, wrong)
        for index, entry in enumerate(entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)  # of anything else the form complains
    )


def _read(entry: dict[str, Any], place: Path, draft: Draft, wrong: list[Mistake]) -> Exclude:
    reason = entry.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        wrong.append(draft.mistake(place, 'it needs a reason: reason = "why"'))
    named = {key: value for key, value in entry.items() if key != "reason"}
    if not named:
        wrong.append(draft.mistake(place, "it names no trials, so it would exclude all"))
    conditions = []
    for key, value in named.items():
        try:
            conditions.append(match.of_value(key, value, match.OF_TRIAL))
        except ValueError as error:
            wrong.append(draft.mistake((*place, key), str(error)))
    return Exclude(tuple(conditions), str(reason), entry)
