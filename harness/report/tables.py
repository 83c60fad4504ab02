"""The answer: which implementation to use, in a sentence of plain words and one table.

The reference point is the longest sequence that the baseline ran for speed, per machine, device
and cell. No winner is named where intervals overlap, nor from too few blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report import captions, growth, pairs
from harness.report.columns import Column, Row, Table, axes, is_missing, metric, ranged, word
from harness.report.sentences import BLOCKS_FOR_A_VERDICT, sentence
from harness.report.units import MISSING, POWER, RATIO, SHARE

PLACE = [*pairs.PLACE, "cell"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to use: a sentence per machine, device and cell, and the rows behind them."""

    sentences: tuple[str, ...]
    rows: pd.DataFrame


def answer(frame: pd.DataFrame) -> Answer:
    """Return the answer at every reference point; verdicts allow for the A/A band of its node."""
    times = pairs.ratios(frame, "seconds_per_sequence")
    laws = growth.exponents(frame, "seconds_per_sequence")
    floors = pairs.estimates(frame, "floor_ratio")
    allowed = pairs.margins(frame, "seconds_per_sequence")
    sentences, rows = [], []
    for point in references(frame):
        found = [
            _row(frame, name, point)
            | _ratio(times, point | {"implementation": name})
            | _ranged(floors, point | {"implementation": name}, "floor_ratio")
            | _exponent(laws, point | {"implementation": name})
            | _longest(frame, point | {"implementation": name})
            for name in pairs.series_order(pairs.at(frame, point))
        ]
        found = _relative_memory(found)
        where = pairs.describe(point, [*_telling(frame), "sequence_length"])
        sentences.append(sentence(where, found, pairs.margin_at(allowed, point)))
        rows += found
    return Answer(tuple(sentences), pd.DataFrame(rows, columns=_COLUMNS))


def references(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one point per machine, device and cell: the baseline's longest timed sequence.

    Without such a run, the longest sequence that anything timed, or measured, takes its place.
    """
    done = frame[frame["status"] == "done"]
    timed = done[done["measurement"] == "speed"]
    for candidates in (timed[timed["baseline"]], timed, done):
        if len(candidates):
            break
    points = candidates[pairs.POINT].drop_duplicates()
    found = []
    for _, group in points.groupby(PLACE, sort=True):
        rows = [{str(key): value for key, value in row.items()} for row in group.to_dict("records")]
        found.append(min(rows, key=_preference))
    return found


def answer_table(found: Answer, frame: pd.DataFrame) -> Table:
    """Return the answer's rows as a table."""
    heads = [*_telling(frame), "sequence_length", *pairs.heads(frame, [])]
    columns = (
        *axes(heads),
        word("implementation"),
        Column("time ratio", _time_text),
        *([word("verdict")] if _judged(found.rows) else []),
        ranged("floor_ratio", "time / floor", RATIO),
        share_of("memory_ratio", "memory ratio"),
        metric("cosine"),
        Column("note", note, numeric=False),
        Column("longest T", _longest_text),
        ranged("exponent", "exponent of T", POWER),
    )
    text = (
        "Time ratios are formed inside blocks, then summarised (Hodges-Lehmann);"
        f" {captions.intervals(found.rows, 'blocks')}. A verdict needs"
        f" {BLOCKS_FOR_A_VERDICT} blocks{_allowing(found.rows)}."
        " Memory and gradients are exact and need no interval."
    )
    return Table("answer", "Which one should I use?", text, found.rows, columns, len(heads))


def share_of(key: str, heading: str) -> Column:
    """Return a column of plain ratios."""
    return Column(heading, lambda row: RATIO.text(row[key]))


def note(row: Row) -> str:
    """Return what a reader must know beside the figures: exactness, reach, share clipped."""
    words = []
    if row["agrees"] is False:
        words.append("DISAGREES with the oracle")
    elif row["claim"] == "exact":
        words.append("exact")
    elif not is_missing(row["claim"]):
        words.append(str(row["claim"]))
        if math.isfinite(row["reach_steps"]):
            words.append(f"reach {row['reach_steps']:,.0f}")
    if math.isfinite(row["clipped_share"]) and row["clips"]:
        words.append(f"clips {SHARE.text(row['clipped_share'])} of updates")
    return ", ".join(words) or MISSING


def agreement(values: Sequence[object]) -> bool | None:
    """Return False if any block disagrees with the oracle, None if none could be compared."""
    known = [bool(value) for value in values if not is_missing(value)]
    return all(known) if known else None


def _telling(frame: pd.DataFrame) -> list[str]:
    """Return device, cell and whatever else tells one setting of this report from another."""
    names = pairs.varying(frame)
    return [name for name in pairs.SETTING if name in names or name == "device"]


def _preference(point: Row) -> tuple[object, ...]:
    sizes = [-int(point[name]) for name in ("sequence_length", "hidden_size", "batch_size")]
    return (*sizes, [pairs.natural(str(point[name])) for name in pairs.POINT])


def _row(frame: pd.DataFrame, name: str, point: Row) -> dict[str, Any]:
    mine = pairs.at(frame, {**point, "implementation": name})
    done = mine[mine["status"] == "done"]
    numbers = done[["peak_bytes", "cosine", "clipped_share", "reach_steps"]].median()
    claims = [claim for claim in done["claim"] if not is_missing(claim)]
    return {
        **point,
        "implementation": name,
        "baseline": bool(mine["baseline"].any()),
        "clips": mine["clips"].iloc[0],
        "kind": mine["kind"].iloc[0],
        "claim": claims[0] if claims else None,
        "agrees": agreement(list(done["agrees"])),
        **{str(key): float(value) for key, value in numbers.items()},
    }


def _ratio(times: pd.DataFrame, named: Row) -> dict[str, Any]:
    found = pairs.at(times, named)
    if found.empty:
        return dict.fromkeys(("time_ratio", "time_ratio_low", "time_ratio_high"), math.nan) | {
            "confidence": math.nan,
            "blocks": 0,
            "margin": math.nan,
            "verdict": None,
        }
    row = found.iloc[0]
    return {
        "time_ratio": row["estimate"],
        "time_ratio_low": row["low"],
        "time_ratio_high": row["high"],
        "confidence": row["confidence"],
        "blocks": int(row["count"]),
        "margin": row["margin"],
        "verdict": row["verdict"],
    }


def _exponent(laws: pd.DataFrame, named: Row) -> dict[str, float]:
    setting = {key: value for key, value in named.items() if key != "sequence_length"}
    return _ranged(laws, setting, "exponent")


def _ranged(table: pd.DataFrame, named: Row, key: str) -> dict[str, float]:
    found = pairs.at(table, named)
    ends = {key: "estimate", f"{key}_low": "low", f"{key}_high": "high"}
    if found.empty:
        return dict.fromkeys(ends, math.nan)
    return {name: float(found.iloc[0][end]) for name, end in ends.items()}


def _longest(frame: pd.DataFrame, named: Row) -> dict[str, Any]:
    """Return the longest sequence timed, and what stopped the next one, if anything did."""
    setting = {key: value for key, value in named.items() if key != "sequence_length"}
    mine = pairs.at(frame[frame["measurement"] == "speed"], setting)
    done = mine[mine["status"] == "done"]["sequence_length"]
    longest = int(done.max()) if len(done) else 0
    beyond = mine[(mine["sequence_length"] > longest) & (mine["status"] != "done")]
    if beyond.empty:
        return {"longest": longest, "stopped_at": math.nan, "stopped_by": None}
    first = beyond.sort_values(["sequence_length", "block"]).iloc[0]
    stopped = float(first["sequence_length"])
    return {"longest": longest, "stopped_at": stopped, "stopped_by": first["status"]}


def _judged(rows: pd.DataFrame) -> bool:
    """Return whether any row has blocks enough; a column of "too few blocks" tells nothing."""
    return bool((rows["verdict"].notna() & (rows["verdict"] != "too few blocks")).any())


def _allowing(rows: pd.DataFrame) -> str:
    """Return what verdicts allow for, where anything was compared."""
    known = rows["margin"].dropna()
    if known.empty:
        return ""
    own = " (the larger of 1 % and what the node shows of a thing against itself, A/A)"
    return f" and allows for {SHARE.span(known)}{own}"


def _time_text(row: Row) -> str:
    if row["baseline"]:
        return "baseline"
    return RATIO.interval(row["time_ratio"], row["time_ratio_low"], row["time_ratio_high"])


def _longest_text(row: Row) -> str:
    ran = f"{row['longest']:,}" if row["longest"] else MISSING
    if is_missing(row["stopped_by"]):
        return ran
    return f"{ran} ({row['stopped_by']} at {row['stopped_at']:,.0f})"


def _relative_memory(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    base = next((row["peak_bytes"] for row in rows if row["baseline"]), math.nan)
    return [{**row, "memory_ratio": row["peak_bytes"] / base} for row in rows]


_COLUMNS = [
    *pairs.POINT,
    "implementation",
    "kind",
    "baseline",
    "time_ratio",
    "time_ratio_low",
    "time_ratio_high",
    "confidence",
    "blocks",
    "margin",
    "verdict",
    "floor_ratio",
    "floor_ratio_low",
    "floor_ratio_high",
    "memory_ratio",
    "peak_bytes",
    "cosine",
    "claim",
    "agrees",
    "reach_steps",
    "clips",
    "clipped_share",
    "longest",
    "stopped_at",
    "stopped_by",
    "exponent",
    "exponent_low",
    "exponent_high",
]
