"""What a resolved sweep calls its series: records carry the names of the day they were made."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.trial import Choice, Implementation, Record


def described(text: str) -> str:
    """Return the description of a resolved sweep; nothing for one that cannot be read."""
    return str(_data(text).get("sweep", {}).get("description", ""))


def relabelled(records: Sequence[Record], text: str) -> tuple[Record, ...]:
    """Return the records with the labels and the baseline of a resolved sweep.

    Neither is part of a trial's id, so a sweep that was resumed under new names has records
    with old ones.
    """
    now = {
        _content(entry["gradient"], entry["clip"]): entry
        for entry in _data(text).get("implementation", [])
    }
    return tuple(_renamed(record, now) for record in records)


def _renamed(record: Record, now: Mapping[str, Mapping[str, Any]]) -> Record:
    own = record.trial.implementation
    entry = now.get(_content(_table(own.gradient), [_table(clip) for clip in own.clips]))
    if entry is None or (entry["name"], entry["baseline"]) == (own.label, own.baseline):
        return record
    renamed: Implementation = replace(own, label=entry["name"], baseline=entry["baseline"])
    return replace(record, trial=replace(record.trial, implementation=renamed))


def _table(choice: Choice) -> dict[str, Any]:
    return {"use": choice.use, **choice.params}


def _content(gradient: object, clips: Sequence[object]) -> str:
    """Return the same text for the same series, however its TOML is written."""
    tables = [{"use": one} if isinstance(one, str) else one for one in (gradient, *clips)]
    return json.dumps(tables, sort_keys=True)


def _data(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
