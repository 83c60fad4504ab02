"""What is not the same in two runs apart from the machine: sources, commits, protocols, trials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import pandas as pd

from harness.report import pairs
from harness.report.compare.machines import Difference
from harness.report.compare.rows import KEY
from harness.trial import MEASUREMENTS, Record

DIGITS = 10  # of a hash or commit; enough to find it


def changed_plugins(base: Sequence[Record], new: Sequence[Record]) -> dict[str, Difference]:
    """Return the plugins whose source is another, by their key ("gradients/native")."""
    old, now = _sources(base), _sources(new)
    return {
        key: Difference(f"source of {key}", _all(old[key]), _all(now[key]))
        for key in sorted(old.keys() & now.keys())
        if old[key] != now[key]
    }


def other_differences(base: Sequence[Record], new: Sequence[Record]) -> tuple[Difference, ...]:
    """Return how commits, seeds and protocols differ."""
    found = [Difference("commit", *(_all(_commits(records)) for records in (base, new)))]
    seeds = ({str(record.trial.seed) for record in records} for records in (base, new))
    found.append(Difference("seed", *map(_all, seeds)))
    for name in MEASUREMENTS:
        protocols = (_protocols(records, name) for records in (base, new))
        found.append(Difference(f"protocol of {name}", *map(_all, protocols)))
    return tuple(one for one in found if one.base != one.new and one.base and one.new)


def only_in(one: pd.DataFrame, other: pd.DataFrame) -> tuple[str, ...]:
    """Return what `one` planned and `other` did not: a line an implementation and measurement."""
    keys = ["measurement", *KEY]
    there = set(other[keys].itertuples(index=False, name=None))
    left = [row for row in one[keys].itertuples(index=False, name=None) if row not in there]
    if not left:
        return ()
    missing = pd.DataFrame(list(dict.fromkeys(left)), columns=keys)
    named = missing.merge(one.drop_duplicates(keys)[[*keys, "implementation"]], on=keys)
    lines = []
    for (name, measurement), group in named.groupby(["implementation", "measurement"]):
        rows = [{str(key): value for key, value in row.items()} for row in group.to_dict("records")]
        points = [pairs.describe(row, _telling(one)) for row in rows]
        shown = points[0] if len(points) == 1 else f"{len(points)} points, as {points[0]}"
        lines.append(f"{name}, {measurement}: {shown}")
    return tuple(sorted(lines, key=pairs.natural))


def _telling(frame: pd.DataFrame) -> list[str]:
    among = [name for name in pairs.SETTING if name not in ("results", "node")]
    return [*pairs.varying(frame, among), "sequence_length"]


def _sources(records: Sequence[Record]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for record in records:
        for key, digest in record.trial.sources.items():
            found.setdefault(key, set()).add(digest[:DIGITS])
    return found


def _commits(records: Sequence[Record]) -> set[str]:
    return {
        str(known["commit"])[:DIGITS]
        + (" with changes that no commit holds" * bool(known["dirty"]))
        for known in (record.environment for record in records)
        if known.get("commit")
    }


def _protocols(records: Sequence[Record], measurement: str) -> set[str]:
    return {
        json.dumps(dict(record.trial.protocol), sort_keys=True)
        for record in records
        if record.trial.measurement == measurement
    }


def _all(values: Iterable[str]) -> str:
    return " / ".join(sorted(values))
