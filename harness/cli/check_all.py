"""`bptt check --all`: every plugin tried, and one table of every gradient method on every cell."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

import click

from harness.cli.words import plural
from harness.data import DataError
from harness.registry import KINDS, Plugin, Registry
from harness.trial import Choice

if TYPE_CHECKING:
    from harness.check.finding import Finding
    from harness.check.judged import Judged, Word

COLOURS = {"exact": "green", "unsupported": "bright_black", "DISAGREES": "red"}
GAP = 2  # letters between two columns
NOTES = [*ascii_lowercase, *(a + b for a in ascii_lowercase for b in ascii_lowercase)]


@dataclass(frozen=True, slots=True)
class Tried:
    """What was found about one plugin; about a gradient method, on one cell."""

    plugin: Plugin
    cell: Plugin | None
    findings: tuple[Finding, ...]
    untried: str  # why nothing could be found out; empty where it was tried

    @property
    def broken(self) -> list[Finding]:
        """Return the promises that were not kept."""
        return [finding for finding in self.findings if finding.verdict == "broken"]


def try_all(registry: Registry) -> list[Tried]:
    """Try every plugin there is, gradient methods on one cell after another."""
    cells = [cell for cell in registry.of("cells") if not cell.unavailable]
    jobs: list[tuple[Plugin, Plugin | None]] = [
        (plugin, cell)
        for plugin in registry.plugins
        for cell in (cells if plugin.kind == "gradients" and not plugin.unavailable else [None])
    ]
    shown = {"file": sys.stderr, "label": "promises", "hidden": not sys.stderr.isatty()}
    with click.progressbar(jobs, **shown) as running:  # type: ignore[arg-type]  # by name
        return [_try(registry, plugin, cell) for plugin, cell in running]


def lines(tried: Sequence[Tried]) -> Iterator[str]:
    """Yield what a person is shown: what is broken, the table, what else was tried."""
    for finding in dict.fromkeys(finding for one in tried for finding in one.broken):
        told = f": {finding.detail}" if finding.detail else ""
        verdict = click.style("broken  ", fg="red")
        yield f"{verdict}{finding.plugin}  {finding.promise}, {finding.place}{told}"
    yield from _table(judgements(tried), {one.cell.name: one.cell for one in tried if one.cell})
    yield ""
    for kind in KINDS:
        if kind != "gradients":
            yield _others(kind, [one for one in tried if one.plugin.kind == kind])
    for one in tried:
        if one.untried:
            yield f"not tried  {one.plugin.key}: {one.untried}"
    kept = sum(finding.verdict == "kept" for one in tried for finding in one.findings)
    broken = sum(len(one.broken) for one in tried)
    yield f"{plural(kept, 'promise')} kept, {broken or 'none'} broken"


def json_lines(tried: Sequence[Tried]) -> Iterator[str]:
    """Yield every finding as an object, then the table: one object a gradient method and cell."""
    for one in tried:
        for finding in one.findings:
            yield json.dumps({"kind": one.plugin.kind, **asdict(finding)})
        if one.untried:
            yield json.dumps(
                {"kind": one.plugin.kind, "plugin": one.plugin.name, "untried": one.untried}
            )
    for judged in judgements(tried):
        yield json.dumps({"kind": "judged", **asdict(judged)})


def judgements(tried: Iterable[Tried]) -> list[Judged]:
    """Return a word for every gradient method and cell."""
    from harness.check.judged import judge  # imports torch

    return [judge(one.plugin.name, one.cell.name, one.findings) for one in tried if one.cell]


def _try(registry: Registry, plugin: Plugin, cell: Plugin | None) -> Tried:
    from harness.check import check  # imports torch

    if plugin.unavailable:
        return Tried(plugin, cell, (), plugin.unavailable)
    assert plugin.kind in KINDS
    others = tuple(one for one in registry.plugins if one.kind != "cells")
    beside = Registry((*others, cell)) if cell else registry
    try:
        return Tried(plugin, cell, check(beside, plugin.kind, Choice(plugin.name)), "")
    except DataError as error:
        return Tried(plugin, cell, (), str(error))


def _table(judged: Sequence[Judged], cells: dict[str, Plugin]) -> Iterator[str]:
    """Yield the table, a column for all cells about which it would say the same."""
    reasons = {(one.method, one.cell): _of_any_cell(one, cells[one.cell]) for one in judged}
    words = {(one.method, one.cell): one.word for one in judged}
    methods = list(dict.fromkeys(one.method for one in judged))
    notes = dict(zip(dict.fromkeys(filter(None, reasons.values())), NOTES, strict=False))
    columns: dict[tuple[tuple[Word, str], ...], list[str]] = {}
    for cell in cells:
        column = tuple((words[name, cell], reasons[name, cell]) for name in methods)
        columns.setdefault(column, []).append(cell)
    shown = [[_cell(word, notes.get(why, "")) for word, why in column] for column in columns]
    first = max(map(len, [*methods, "method"])) + GAP
    widths = [
        max(map(len, [*names, *texts])) + GAP
        for names, texts in zip(columns.values(), shown, strict=True)
    ]
    ends = [*widths[:-1], 0]  # nothing stands behind the last
    for place in range(max(map(len, columns.values()), default=0)):
        heads = [names[place] if place < len(names) else "" for names in columns.values()]
        row = "".join(head.ljust(wide) for head, wide in zip(heads, widths, strict=True))
        yield ("method" if not place else "").ljust(first) + row.rstrip()
    for row_number, name in enumerate(methods):
        texts = [column[row_number] for column in shown]
        padded = [_coloured(text, wide) for text, wide in zip(texts, ends, strict=True)]
        yield name.ljust(first) + "".join(padded)
    yield ""
    yield from _legend({one.word for one in judged}, notes)


def _legend(words: set[Word], notes: dict[str, str]) -> Iterator[str]:
    from harness.check.judged import MEANINGS  # imports torch

    for word, meaning in MEANINGS.items():
        if word in words:
            yield f"{click.style(word.ljust(13), fg=COLOURS.get(word))}{meaning}"
    for reason, note in notes.items():
        yield f"{note:2} {reason}"


def _of_any_cell(judged: Judged, cell: Plugin) -> str:
    """Return the reason without the cell's name, so that cells share one."""
    return judged.reason.replace(cell.class_name, "the cell") if judged.reason else ""


def _cell(word: Word, note: str) -> str:
    return f"{word} {note}".rstrip()


def _coloured(text: str, wide: int) -> str:
    return click.style(text.ljust(wide), fg=COLOURS.get(text.split()[0]))


def _others(kind: str, tried: Sequence[Tried]) -> str:
    """Return "clips      13 keep their promises: agc, ..." or who does not."""
    kept = [one.plugin.name for one in tried if not one.broken and not one.untried]
    broken = [one.plugin.name for one in tried if one.broken]
    said = f"{kind:10} {len(kept)} keep their promises: {', '.join(kept)}"
    return said + (click.style(f"; BROKEN: {', '.join(broken)}", fg="red") if broken else "")
