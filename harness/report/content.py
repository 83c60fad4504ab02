"""Everything a report says, gathered once for the page, the Markdown and the files beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd

from harness.forecast.expected import Expected
from harness.report import (
    capacity,
    evidence,
    figures,
    foretold,
    noise,
    pairs,
    savings,
    scaling,
    solved,
    tables,
    theory,
    tradeoff,
    trust,
)
from harness.report.columns import Table
from harness.report.figures.canvas import Drawing
from harness.report.metrics import frame
from harness.report.sentences import BLOCKS_FOR_A_VERDICT, listed
from harness.trial import Record


@dataclass(frozen=True, slots=True)
class Source:
    """One results folder as the store read it."""

    name: str
    description: str
    sweep_toml: str  # as resolved
    records: tuple[Record, ...]
    unreadable_lines: int
    command: str  # that made it
    expected: Mapping[str, Expected] = field(default_factory=dict)  # before it ran, by trial
    basis: str = ""  # what that rested on


@dataclass(frozen=True, slots=True)
class Section:
    """One question of the report, with the figures and tables that answer it."""

    key: str
    title: str
    drawings: tuple[Drawing, ...]
    tables: tuple[Table, ...]
    missing: str  # what to say where there is neither


@dataclass(frozen=True, slots=True)
class Content:
    """A report before it has a form."""

    title: str
    descriptions: tuple[str, ...]
    when: str
    short: str  # why there are no verdicts; empty where there are
    trust: trust.Trust
    answer: tables.Answer
    sections: tuple[Section, ...]
    sources: tuple[Source, ...]
    frame: pd.DataFrame  # every trial


def gather(sources: Sequence[Source]) -> Content:
    """Return the content of one report over all sources; their records are never pooled."""
    named = tuple(zip(_unique([source.name for source in sources]), sources, strict=True))
    records = [record for source in sources for record in source.records]
    parts = [frame(source.records, name) for name, source in named]
    rows = pd.concat(parts, ignore_index=True) if parts else frame([])
    found = tables.answer(rows)
    unreadable = sum(source.unreadable_lines for source in sources)
    return Content(
        title=" · ".join(name for name, _ in named) or "no results",
        descriptions=tuple(source.description for source in sources if source.description),
        when=_when(records),
        short=_short(rows),
        trust=trust.trust(rows, records, unreadable),
        answer=found,
        sections=_sections(rows, records, found, _estimates(named, rows)),
        sources=tuple(sources),
        frame=rows,
    )


def _sections(
    rows: pd.DataFrame, records: Sequence[Record], found: tables.Answer, estimates: Table
) -> tuple[Section, ...]:
    drawings = figures.draw(rows, records)
    behind = {table.key: table for table in evidence.tables(rows)} if len(rows) else {}
    behind |= {table.key: table for table in scaling.tables(rows)} if len(rows) else {}
    if len(rows):
        paid = tradeoff.table(tradeoff.points(rows), rows)
        more = (theory.table, savings.table, capacity.table, solved.table)
        for table in (*(make(rows) for make in more), paid):
            behind[table.key] = table
    behind["answer"] = tables.answer_table(found, rows)
    behind["noise"], behind["copies"] = noise.weakest(rows), noise.bands(rows)
    behind["failures"], behind["estimate"] = trust.failures(rows), estimates
    return tuple(
        Section(
            key,
            title,
            tuple(drawing for drawing in drawings if drawing.section == key),
            tuple(behind[name] for name in names if name in behind and len(behind[name].data)),
            missing,
        )
        for key, title, names, missing in _OUTLINE
    )


SPEED = ("speed", "theory", "scaling", "crossings", "profile-time")
MEMORY = ("memory", "capacity", "savings", "profile-memory")
LEARNING = ("training", "solved")
_OUTLINE: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("answer", "Which one should I use?", ("answer",), "Nothing was measured to compare."),
    ("speed", "How does time grow with the sequence?", SPEED, "No speed trial is done."),
    ("phases", "Where does the time go?", (), "No speed trial was split into phases."),
    ("memory", "What fits in memory?", MEMORY, "No memory trial is done."),
    ("stability", "Can the gradient be trusted?", ("gradients",), "No gradients trial is done."),
    ("learning", "Which one still learns?", LEARNING, "No training trial is done."),
    ("tradeoff", "What do I pay?", ("tradeoff",), "Time, memory and gradient are not all known."),
    ("noise", "Which numbers are weak?", ("noise", "copies"), "There is no time ratio to doubt."),
    ("failures", "What did not run, and what helps?", ("failures",), "Nothing: no trial failed."),
    ("estimate", "How true was the estimate?", ("estimate",), "No estimate was kept."),
)


def _estimates(named: Sequence[tuple[str, Source]], rows: pd.DataFrame) -> Table:
    """Return estimate against truth, over every source that kept its estimates."""
    parts = [foretold.rows(source.records, source.expected, name) for name, source in named]
    bases = listed(list(dict.fromkeys(source.basis for _, source in named if source.basis)))
    known = pd.concat(parts, ignore_index=True) if parts else foretold.rows((), {}, "")
    return foretold.table(known, pairs.series_order(rows), bases)


def every_table(content: Content) -> Iterator[Table]:
    """Yield the tables of all sections."""
    for section in content.sections:
        yield from section.tables


def every_drawing(content: Content) -> Iterator[Drawing]:
    """Yield the figures of all sections."""
    for section in content.sections:
        yield from section.drawings


def _short(rows: pd.DataFrame) -> str:
    blocks = trust.blocks_of(rows)
    if not len(rows):
        return "Nothing has run yet: there is no record to report on."
    if blocks >= BLOCKS_FOR_A_VERDICT:
        return ""
    return (
        f"A short sweep: {blocks} block{'s' if blocks > 1 else ''} a comparison. An exact 95 %"
        f" interval needs {BLOCKS_FOR_A_VERDICT}, so there are no verdicts on time here: read the"
        " ratios as indications."
    )


def _when(records: Sequence[Record]) -> str:
    times = [time for record in records for time in (record.started, record.ended) if time > 0]
    if not times:
        return ""
    first, last = (datetime.fromtimestamp(end, UTC) for end in (min(times), max(times)))
    same_day = first.date() == last.date()
    return f"{first:%Y-%m-%d %H:%M} to {last:{'%H:%M' if same_day else '%Y-%m-%d %H:%M'}} UTC"


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where two folders share one: their records must stay apart."""
    seen: Counter[str] = Counter()
    made = []
    for name in names:
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made


def telling(content: Content) -> list[str]:
    """Return the columns that tell this report's settings apart."""
    return pairs.varying(content.frame)
