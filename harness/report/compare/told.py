"""A comparison in words and tables, the most important first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness import stats
from harness.report import pairs
from harness.report.columns import Column, Table, ranged, word
from harness.report.compare.comparison import Comparison
from harness.report.compare.rows import BASELINE, FLOOR, SECONDS, Lost, Row
from harness.report.compare.thresholds import Regression
from harness.report.sentences import BLOCKS_FOR_A_VERDICT, listed
from harness.report.units import BYTES, COUNT, MISSING, RATIO, SHARE, Unit
from harness.report.units import SECONDS as TIME

MOST_ROWS = 20  # of one table; the worst ones, the others are counted
VERDICTS = ("slower", "faster", "equivalent", "inconclusive", "too few blocks")
JUDGED_BY = {
    FLOOR: (
        "over the floor, the bare matrix products timed in the same trial: two"
        " runs are two moments, and a machine that is slower today is slower at those too."
    ),
    BASELINE: (
        "over the baseline's of the same block, for some record of theirs has no floor: what slowed"
        " a whole run cancels, and so does what changed in the baseline itself, which has no row"
        " where it has no floor."
    ),
    SECONDS: (
        "as they are, for there is neither floor nor baseline to divide by: a machine that was"
        " slower for a whole run looks like a regression."
    ),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of what is said: a heading, lines, and a table where there is one."""

    title: str
    lines: tuple[str, ...]
    table: Table | None = None


def parts(compared: Comparison, regressions: Sequence[Regression]) -> tuple[Part, ...]:
    """Return what there is to say, the most important first; empty parts are left out."""
    made = (
        Part("Regressions", tuple(_regression(one) for one in regressions)),
        _differences(compared),
        _times(compared),
        _changed_times(compared),
        _memory(compared),
        Part("Did in BASE and not in NEW", tuple(map(_lost, compared.lost))),
        Part("Did not in BASE and does in NEW", tuple(map(_lost, compared.regained))),
        Part("Only in BASE", compared.only_base),
        Part("Only in NEW", compared.only_new),
    )
    return tuple(part for part in made if part.lines or part.table is not None)


def headline(compared: Comparison) -> str:
    """Return the comparison in a sentence."""
    timed, counted = (_of(compared, measure) for measure in ("speed", "memory"))
    if not timed and not counted:
        return f"{compared.new} over {compared.base}: nothing that both have measured"
    seen = Counter(row.verdict for row in timed)
    within = f" within {SHARE.span(row.margin for row in timed)}" if timed else ""
    times = [
        f"{seen[verdict]} {verdict}{within if verdict == 'equivalent' else ''}"
        for verdict in VERDICTS
        if seen[verdict]
    ]
    bytes_ = Counter(row.verdict for row in counted)
    sizes = [
        f"{bytes_[verdict]} {verdict}" for verdict in ("more", "less", "same") if bytes_[verdict]
    ]
    said = [f"time: {', '.join(times)}"] if times else []
    said += [f"memory: {', '.join(sizes)}"] if sizes else []
    said += [f"{len(compared.lost)} no longer run"] if compared.lost else []
    return f"{compared.new} over {compared.base}: {'; '.join(said)}"


def _differences(compared: Comparison) -> Part:
    found = [*compared.machines, *compared.plugins, *compared.others]
    lines = [str(one) for one in found]
    if compared.machines:
        lines.append(
            "The machines are not the same: blocks are not paired, intervals are wider, and a"
            " difference may be the machines'."
        )
    return Part("What else differs", tuple(lines))


def _times(compared: Comparison) -> Part:
    timed = _of(compared, "speed")
    if not timed:
        return Part("Time, NEW / BASE", ())
    lines = [*_judged_by(timed), _basis(timed), _short(timed)]
    rows = [
        {"implementation": name, "points": len(group), **Counter(row.verdict for row in group)}
        for name, group in _by_implementation(timed)
    ]
    data = pd.DataFrame(rows, columns=["implementation", "points", *VERDICTS]).fillna(0)
    shown = [verdict for verdict in VERDICTS if data[verdict].sum()]
    columns = (word("implementation"), *(_count(name) for name in ("points", *shown)))
    return Part("Time, NEW / BASE", tuple(filter(None, lines)), _table(data, columns))


def _changed_times(compared: Comparison) -> Part:
    found = [row for row in _of(compared, "speed") if row.verdict in ("slower", "faster")]
    found.sort(key=lambda row: max(row.ratio.estimate, 1 / row.ratio.estimate), reverse=True)
    against = {"against_baseline": "against the baseline", "as_it_was": "as it was"}
    columns = [
        *_where(found),
        ranged("ratio", "NEW / BASE", RATIO),
        word("verdict"),
        *(ranged(key, words, RATIO) for key, words in against.items()),
        _both(TIME, "BASE and NEW"),
        word("changed", "source changed"),
    ]
    if not any(row.changed for row in found):
        columns.pop()
    return Part("Faster or slower", _left_out(found), _rows(found, columns))


def _memory(compared: Comparison) -> Part:
    found = [row for row in _of(compared, "memory") if row.verdict != "same"]
    found.sort(key=lambda row: max(row.ratio.estimate, 1 / row.ratio.estimate), reverse=True)
    columns = [*_where(found), ranged("ratio", "NEW / BASE", RATIO), _both(BYTES, "BASE and NEW")]
    return Part("Peak memory that is not the same", _left_out(found), _rows(found, columns))


def _regression(regression: Regression) -> str:
    found, allowed = regression.found, SHARE.text(regression.threshold.share)
    where = f"{found.implementation} · {pairs.describe(found.named, _telling([found]))}"
    if isinstance(found, Lost):
        return f"{found.measure}: {where}: {found.status} where BASE was done"
    span = RATIO.interval(found.ratio.estimate, found.ratio.low, found.ratio.high)
    return f"{found.measure}: {where}: {span}, wholly beyond {allowed} more"


def _lost(one: Lost) -> str:
    where = pairs.describe(one.named, _telling([one]))
    return f"{one.implementation}, {one.measure}: {where}: {one.status}, {one.reason}"


def _judged_by(timed: Sequence[Row]) -> Iterator[str]:
    """Yield what times are divided by before they are judged, and how many where that differs."""
    seen = Counter(row.yardstick for row in timed)
    for yardstick, how in JUDGED_BY.items():
        if seen[yardstick]:
            who = "Times" if len(seen) == 1 else f"{seen[yardstick]} of {len(timed)} times"
            yield f"{who} are judged {how}"


def _basis(timed: Sequence[Row]) -> str:
    """Return how many blocks, paired or not, on which machines, and what verdicts allow for."""
    blocks = sorted({row.ratio.count for row in timed})
    many = f"{blocks[0]} blocks" if len(blocks) == 1 else f"{blocks[0]} to {blocks[-1]} blocks"
    ways = {True: "paired by block", False: "not paired, as the machines differ"}
    how = listed([ways[paired] for paired in sorted({row.paired for row in timed}, reverse=True)])
    margin = SHARE.span(row.margin for row in timed)
    return (
        f"{len(timed)} comparisons over {many}, {how}; a verdict allows for {margin}, the larger of"
        " 1 % and what either run shows of a thing against itself (A/A)."
    )


def _short(timed: Sequence[Row]) -> str:
    few = sum(row.ratio.confidence < stats.CONFIDENCE for row in timed)
    if not few:
        return ""
    return (
        f"{few} of {len(timed)} rest on too few blocks for a verdict: pairs need"
        f" {BLOCKS_FOR_A_VERDICT}, runs of two machines 7 each."
    )


def _of(compared: Comparison, measure: str) -> list[Row]:
    return [row for row in compared.rows if row.measure == measure]


def _by_implementation(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for name in sorted({row.implementation for row in rows}, key=pairs.natural):
        yield name, [row for row in rows if row.implementation == name]


def _telling(rows: Sequence[Row | Lost]) -> list[str]:
    """Return what names a point: cell, task, device and length, and whatever else varies."""
    usual = ("cell", "task", "device")
    names = [name for name in pairs.SETTING if name not in ("results", "node")]
    varied = [n for n in names if n in usual or len({str(row.named[n]) for row in rows}) > 1]
    return [*varied, "sequence_length"]


def _where(rows: Sequence[Row]) -> list[Column]:
    names = _telling(rows)
    point = Column("point", lambda row: pairs.describe(row, names), numeric=False)
    return [word("implementation"), point]


def _rows(found: Sequence[Row], columns: Sequence[Column]) -> Table | None:
    data = [_flat(row) for row in found[:MOST_ROWS]]
    return _table(pd.DataFrame(data), tuple(columns)) if data else None


def _flat(row: Row) -> dict[str, Any]:
    ratios = {
        "ratio": row.ratio,
        "as_it_was": row.as_it_was,
        "against_baseline": row.against_baseline,
    }
    flat: dict[str, Any] = {**row.named, "implementation": row.implementation}
    for key, one in ratios.items():
        ends = (one.estimate, one.low, one.high) if one else (float("nan"),) * 3
        flat |= dict(zip((key, f"{key}_low", f"{key}_high"), ends, strict=True))
    flat |= {"verdict": row.verdict, "base": row.values[0], "new": row.values[1]}
    return {**flat, "changed": ", ".join(row.changed)}


def _left_out(found: Sequence[Row]) -> tuple[str, ...]:
    more = len(found) - MOST_ROWS
    return (f"The {MOST_ROWS} furthest from equal; {more} more are in --json.",) if more > 0 else ()


def _table(data: pd.DataFrame, columns: tuple[Column, ...]) -> Table:
    return Table("compare", "", "", data, columns)


def _count(name: str) -> Column:
    return Column(name, lambda row: COUNT.text(row[name]) if row[name] else MISSING)


def _both(unit: Unit, heading: str) -> Column:
    return Column(heading, lambda row: f"{unit.text(row['base'])}, {unit.text(row['new'])}")
