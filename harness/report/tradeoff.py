"""Which methods nothing beats in time, memory and gradient at once, and who beats the others.

Time is judged by intervals over blocks: a method is beaten only by one that is faster for sure, or
as far as was seen, and that needs no more memory and is no further from the exact gradient.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.report import pairs
from harness.report.columns import Column, Row, Table, axes, metric, ranged, word
from harness.report.metrics import BY_KEY
from harness.report.sentences import MOST_NAMED, SAME_MEMORY, listed
from harness.report.tables import references
from harness.report.units import RATIO

KEYS = [*pairs.POINT, "implementation"]
ROUNDING = 1e-9  # of the exact gradient: a smaller error is none
AXES = ["time_ratio", "time_ratio_low", "time_ratio_high", "memory_ratio", "relative_error"]
COLUMNS = [*KEYS, "kind", "baseline", *AXES, "beaten_by"]


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what each method pays at the reference points, one row a point and method.

    `beaten_by` names one that is no worse in anything and faster; empty on the front. Methods
    without time, memory or gradient there have no row, nor have clips: they buy something else.
    """
    bare = frame[(frame["clips"] == "") & (frame["replica"] == 0)]
    peak = pairs.estimates(bare, "peak_bytes").rename(columns={"estimate": "peak_bytes"})
    error = pairs.estimates(bare, "relative_error").rename(columns={"estimate": "relative_error"})
    times = _times(bare)
    if peak.empty or error.empty or times.empty:
        return pd.DataFrame(columns=COLUMNS)
    data = peak[[*KEYS, "peak_bytes"]].merge(error[[*KEYS, "relative_error"]], on=KEYS)
    data = data.merge(times, on=KEYS)
    base = data[data["baseline"]][[*pairs.POINT, "peak_bytes"]]
    data = data.merge(base, on=pairs.POINT, suffixes=("", "_base"))
    data["memory_ratio"] = data["peak_bytes"] / data["peak_bytes_base"]
    found = [pairs.at(data, point) for point in references(bare)]
    whole = pairs.ordered(pd.concat(found), frame, pairs.POINT) if found else data
    beaten = [_beaten_by(row, pairs.at(whole, _point(row))) for row in pairs.plain(whole)]
    return whole.assign(beaten_by=beaten)[COLUMNS]


def table(found: pd.DataFrame, frame: pd.DataFrame) -> Table:
    """Return what each method pays, and who beats it."""
    heads = pairs.heads(frame, pairs.POINT)
    columns = (
        *axes(heads),
        word("implementation"),
        ranged("time_ratio", "time ratio", RATIO),
        Column("memory ratio", lambda row: RATIO.text(row["memory_ratio"])),
        metric("relative_error"),
        word("beaten_by", "beaten by"),
    )
    title = "What does each one pay?"
    note = (
        "The error is the distance to the exact gradient, in lengths of it; of a random method that"
        " of one draw. A method is beaten where another is faster, by intervals that do not"
        " overlap, and needs no more memory and has no larger error. Clips are left out: what they"
        " buy is not among the three."
    )
    return Table("tradeoff", title, note, found, columns, len(heads))


def told(found: pd.DataFrame, frame: pd.DataFrame) -> str:
    """Return in words who stands on the front at every reference point, and who beats the rest."""
    telling = [*pairs.varying(frame), "sequence_length"]
    said = []
    for point, here in pairs.groups(found.assign(block=0), pairs.POINT):
        front = here[here["beaten_by"] == ""].sort_values("time_ratio")
        names = _named(front)
        others = len(here) - len(front)
        are = "is" if others == 1 else "are"
        rest = f"; the other {others} {are} beaten" if others else ""
        said.append(f"{pairs.describe(point, telling)}: {listed(names)}{rest}")
    return f"Nothing beats these in time, memory and gradient at once. {'. '.join(said)}."


def _named(front: pd.DataFrame) -> list[str]:
    """Return the names on the front with what they cost; of many, that of the two ends alone."""
    ends = {front["time_ratio"].idxmin(), front["memory_ratio"].idxmin()}
    few = len(front) <= MOST_NAMED
    return [
        _priced(row) if few or index in ends else str(row["implementation"])
        for index, row in zip(front.index, pairs.plain(front), strict=True)
    ]


def _priced(row: Row) -> str:
    """Return "native (0.35x time, 0.80x memory, exact)"."""
    error = BY_KEY["relative_error"].text(row["relative_error"])
    worth = f"error {error}" if row["relative_error"] > ROUNDING else "exact"
    time, memory = RATIO.text(row["time_ratio"]), RATIO.text(row["memory_ratio"])
    return f"{row['implementation']} ({time} time, {memory} memory, {worth})"


def _times(bare: pd.DataFrame) -> pd.DataFrame:
    """Return every series' time ratio with its ends; the baseline's is 1."""
    names = {"estimate": "time_ratio", "low": "time_ratio_low", "high": "time_ratio_high"}
    ratios = pairs.ratios(bare, "seconds_per_sequence").rename(columns=names)
    base = pairs.estimates(bare[bare["baseline"]], "seconds_per_sequence")[KEYS]
    base = base.assign(baseline=True, **dict.fromkeys(names.values(), 1.0))
    parts = [ratios[[*KEYS, *names.values()]].assign(baseline=False), base]
    return pd.concat([part for part in parts if len(part)] or parts)


def _beaten_by(row: Row, rivals: pd.DataFrame) -> str:
    """Return the fastest of those that beat the row; empty where none does."""
    least = max(row["relative_error"], ROUNDING)
    better = rivals[
        (rivals["implementation"] != row["implementation"])
        & (rivals["time_ratio_high"] < row["time_ratio_low"])
        & (rivals["memory_ratio"] <= row["memory_ratio"] * SAME_MEMORY)
        & (rivals["relative_error"] <= least)
    ]
    return str(better.sort_values("time_ratio")["implementation"].iloc[0]) if len(better) else ""


def _point(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in pairs.POINT}
