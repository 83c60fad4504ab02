"""Everything that a comparison of two runs says, before it has a form."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from harness.report.compare import changes, machines, rows
from harness.report.compare.machines import Difference
from harness.report.compare.rows import Lost, Row
from harness.report.metrics import frame
from harness.trial import Record


@dataclass(frozen=True, slots=True)
class Run:
    """One of the two: a results folder's name and its records."""

    name: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """NEW over BASE, point by point, and what else is not the same."""

    base: str
    new: str
    rows: tuple[Row, ...]
    lost: tuple[Lost, ...]
    regained: tuple[Lost, ...]  # what NEW did and BASE could not; why BASE could not
    machines: tuple[Difference, ...]  # empty: the same machines
    plugins: tuple[Difference, ...]
    others: tuple[Difference, ...]  # commit, seed, protocols
    only_base: tuple[str, ...]
    only_new: tuple[str, ...]


def compare(base: Run, new: Run) -> Comparison:
    """Return the comparison of two runs; the package's docstring says what is trusted, and why."""
    old, now = (frame(run.records, run.name) for run in (base, new))
    facts = [machines.facts_by_node(run.records) for run in (base, new)]
    changed = changes.changed_plugins(base.records, new.records)
    found = [*rows.times(old, now, machines.same(*facts)), *rows.memory(old, now)]
    plugins = _plugins(new.records)
    return Comparison(
        base=base.name,
        new=new.name,
        rows=tuple(_marked(row, changed, plugins[row.implementation]) for row in found),
        lost=tuple(rows.lost(old, now)),
        regained=tuple(rows.lost(now, old)),
        machines=machines.differences(*facts),
        plugins=tuple(changed.values()),
        others=changes.other_differences(base.records, new.records),
        only_base=changes.only_in(old, now),
        only_new=changes.only_in(now, old),
    )


def _plugins(records: Sequence[Record]) -> dict[str, frozenset[str]]:
    """Return the plugins that belong to each implementation, not those of the point."""
    return {
        record.trial.implementation.label or str(record.trial.implementation.gradient): frozenset(
            [f"gradients/{record.trial.implementation.gradient.use}"]
            + [f"clips/{clip.use}" for clip in record.trial.implementation.clips]
        )
        for record in records
    }


def _marked(row: Row, changed: Collection[str], plugins: frozenset[str]) -> Row:
    """Return the row with those of its plugins, and of its cell and task, that have changed."""
    place = {f"cells/{_name(row.named['cell'])}", f"tasks/{_name(row.named['task'])}"}
    return replace(row, changed=tuple(sorted((plugins | place) & set(changed))))


def _name(choice: str) -> str:
    """Return "lstm" of "lstm(bias=True)"."""
    return choice.partition("(")[0]
