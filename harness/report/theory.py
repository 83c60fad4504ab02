"""Time beside theory: the work of a method and its steps in sequence, against the baseline's.

Work is FLOPs of matrix products; it tells the time where products fill the machine. Steps in
sequence are those that must follow one another; they tell it where each step is too small to.
"""

from __future__ import annotations

import math

import pandas as pd

from harness.report import pairs
from harness.report.columns import Column, Row, Table, axes, metric, word
from harness.report.units import RATIO

KEYS = [*pairs.POINT, "implementation"]
TIME = "seconds_per_sequence"
THEORIES = {"work": "theory_flops", "depth": "theory_depth"}


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Return work and depth, each over the baseline's, and the time ratio over each of those.

    One row a point and series, the baseline none: `work_ratio`, `depth_ratio`, `time_ratio`,
    `time_over_work`, `time_over_depth`; missing where a method gives no cost.
    """
    keys = list(THEORIES.values())
    known = frame[(frame["status"] == "done") & (frame["measurement"] == "speed")]
    values: pd.DataFrame = known.groupby(KEYS, as_index=False)[keys].median()
    base = known[known["baseline"]].groupby(pairs.POINT, as_index=False)[keys].median()
    data = values.merge(base, on=pairs.POINT, suffixes=("", "_base"))
    for name, key in THEORIES.items():
        data[f"{name}_ratio"] = data[key] / data[f"{key}_base"]
    times = pairs.ratios(frame, TIME).rename(columns={"estimate": "time_ratio"})
    data = data.drop(columns=[f"{key}_base" for key in keys])
    data = data.merge(times[[*KEYS, "time_ratio"]], on=KEYS, how="inner")
    for name in THEORIES:
        data[f"time_over_{name}"] = data["time_ratio"] / data[f"{name}_ratio"]
    return data


def table(frame: pd.DataFrame) -> Table:
    """Return measured time over what either theory says, at every point."""
    data = ratios(frame)
    data = data[data[list(THEORIES.values())].notna().any(axis=1)]
    data, heads = pairs.ordered(data, frame, pairs.POINT), pairs.heads(frame, pairs.POINT)
    columns = (
        *axes(heads),
        word("implementation"),
        metric("theory_flops"),
        _ratio("work_ratio", "work / baseline's"),
        metric("theory_depth"),
        _ratio("depth_ratio", "steps / baseline's"),
        _ratio("time_ratio", "time / baseline's"),
        _ratio("time_over_work", "time / work"),
        _ratio("time_over_depth", "time / steps"),
    )
    note = (
        "Work: the multiplications and additions of matrix products. Steps in sequence: those that"
        " must follow one another, forward and back. Both, and the time, are over the baseline's."
        " Time / work is 1 where products cost what the baseline's cost, time / steps where each"
        " step does; above 1 they cost more. " + told(data)
    )
    return Table("theory", "Does time follow theory?", note, data, columns, len(heads))


def told(data: pd.DataFrame) -> str:
    """Return in words which of the two theories is nearer to the measured times."""
    off = {
        name: data[f"time_over_{name}"].dropna().map(math.log).abs().median() for name in THEORIES
    }
    known = {name: factor for name, factor in off.items() if math.isfinite(factor)}
    if not known:
        return ""
    words = {"work": "the work", "depth": "the steps in sequence"}
    said = [
        f"{RATIO.text(math.exp(factor))} off {words[name]}"
        for name, factor in sorted(known.items(), key=lambda item: item[1])
    ]
    return f"Half of these times are no more than {', or '.join(said)}."


def _ratio(key: str, heading: str) -> Column:
    def text(row: Row) -> str:
        return RATIO.text(row[key])

    return Column(heading, text)
