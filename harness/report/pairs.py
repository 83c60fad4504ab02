"""What is compared with what: estimates over blocks, and ratios formed inside one block only.

A setting is everything that must be equal before two numbers may meet, the machine and the
results folder among them; a point is a setting at one sequence length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import gmean

from harness import stats
from harness.report.kinds import RANK, is_crowded

SETTING = [
    "results",
    "node",
    "device",
    "dtype",
    "threads",
    "update",
    "optimizer",
    "learning_rate",
    "cell",
    "task",
    "hidden_size",
    "batch_size",
]
POINT = [*SETTING, "sequence_length"]
PLACE = ["results", "node", "device"]  # what has one A/A band
ESTIMATE = ["estimate", "low", "high", "confidence", "count"]
SELF_EVIDENT = frozenset(
    {"results", "node", "device", "dtype", "cell", "task", "optimizer", "kind"}
)
SYMBOLS = {"sequence_length": "T", "hidden_size": "H", "batch_size": "B"}


def estimates(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the median over blocks of `key`, with its interval: one row a point and series."""
    known = frame[(frame["status"] == "done") & frame[key].notna() & (frame["replica"] == 0)]
    rows = [
        {**named, **as_row(stats.median_interval(list(group[key])))}
        for named, group in groups(known, [*POINT, "implementation"])
    ]
    return pd.DataFrame(rows, columns=[*POINT, "implementation", *ESTIMATE])


def ratios(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return `key` over the baseline's, from blocks that hold both: one row a point and series.

    Where a block holds the baseline's copy too, both of them are the baseline: their geometric mean
    varies less than either. The verdict allows for `margin`: 1 %, or more where the node and device
    showed more between the baseline and its copy. The copy itself is no row.
    """
    known = _usable(frame, key)
    pairs = _with_baseline(known[~known["baseline"]], known, key)
    allowed = margins(frame, key)
    rows = []
    for named, group in groups(pairs, [*POINT, "implementation"]):
        interval = stats.paired_ratio(list(group[key]), list(group[f"{key}_base"]))
        margin = margin_at(allowed, named)
        verdict = stats.verdict(interval, margin)
        rows.append({**named, **as_row(interval), "margin": margin, "verdict": verdict})
    columns = [*POINT, "implementation", *ESTIMATE, "margin", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def copies(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the A/A ratios: `key` of the baseline's copy over the baseline's, one row a point.

    Equal by construction, so that whatever is not 1 here is noise.
    """
    rows = [
        {**named, **as_row(stats.paired_ratio(list(group[key]), list(group[f"{key}_base"])))}
        for named, group in groups(_copied(frame, key), [*POINT, "implementation"])
    ]
    return pd.DataFrame(rows, columns=[*POINT, "implementation", *ESTIMATE])


def of_baseline(among: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return `key` of the baseline in every block that holds it: its own and its copy's, as one.

    Of several values that is their geometric mean.
    """
    shared = [*POINT, "block"]
    blocks = among[among["baseline"]].groupby(shared, as_index=False, dropna=False)
    return blocks.agg({key: gmean})


def margins(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the A/A band of every node and device, and the margin that verdicts allow there.

    Columns: results, node, device, `band` (relative), `pairs` (points that it rests on), `margin`.
    A place without copies in 2 blocks has no row; there the margin is 1 %.
    """
    rows = []
    for named, group in groups(_copied(frame, key), PLACE):
        ratio = group[key] / group[f"{key}_base"]
        band = stats.noise_band([list(one) for _, one in ratio.groupby(_point_of(group))])
        if band is not None:
            allowed = {"band": band.width, "pairs": band.pairs, "margin": stats.margin_of(band)}
            rows.append({**named, **allowed})
    return pd.DataFrame(rows, columns=[*PLACE, "band", "pairs", "margin"])


def margin_at(allowed: pd.DataFrame, named: Mapping[str, Any]) -> float:
    """Return the margin of a point's node and device, from what `margins` gave."""
    found = at(allowed, {name: named[name] for name in PLACE})
    return float(found["margin"].iloc[0]) if len(found) else stats.MARGIN


def groups(
    table: pd.DataFrame, columns: list[str]
) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield what names each group, and its rows by block."""
    for values, group in table.sort_values("block").groupby(columns, sort=True):
        assert isinstance(values, tuple)  # several columns: pandas gives a tuple
        yield dict(zip(columns, values, strict=True)), group


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain data."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def at(table: pd.DataFrame, named: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows in which every named column has the given value."""
    kept = np.ones(len(table), dtype=bool)
    for column, value in named.items():
        kept &= table[column].to_numpy() == value
    return table[kept]


def longest(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows at the longest sequence of each setting."""
    most = table.groupby(SETTING)["sequence_length"].transform("max")
    return table[table["sequence_length"] == most]


def series_order(frame: pd.DataFrame) -> list[str]:
    """Return the implementations: the baseline first, then by kind, numbers in names by size."""
    baselines = set(frame.loc[frame["baseline"], "implementation"])
    own = kind_of(frame)
    return sorted(own, key=lambda name: (name not in baselines, RANK[own[name]], natural(name)))


def kind_of(frame: pd.DataFrame) -> dict[str, str]:
    """Return each implementation's kind; of several sources the first."""
    first = frame.drop_duplicates("implementation")
    return dict(zip(first["implementation"], first["kind"], strict=True))


def ordered(table: pd.DataFrame, frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the rows by `by` and then in the report's order of series, each with its kind."""
    rank = {name: place for place, name in enumerate(series_order(frame))}
    names = table["implementation"]
    ranked = table.assign(kind=names.map(kind_of(frame)), _rank=names.map(rank))
    return ranked.sort_values([*by, "_rank"]).drop(columns="_rank").reset_index(drop=True)


def heads(frame: pd.DataFrame, among: Iterable[str]) -> list[str]:
    """Return the columns that head groups of rows: what tells rows apart, and T where asked for.

    Last the kind, where there are too many series to read without it.
    """
    telling = varying(frame)
    others = set(frame.loc[~frame["baseline"], "implementation"])
    kind = ["kind"] if is_crowded(others, kind_of(frame)) else []
    return [*(name for name in among if name in telling or name == "sequence_length"), *kind]


def settings(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return every setting of the frame, in a fixed order."""
    unique = plain(frame[SETTING].drop_duplicates())
    return sorted(unique, key=lambda row: [natural(str(value)) for value in row.values()])


def varying(frame: pd.DataFrame, among: Iterable[str] = SETTING) -> list[str]:
    """Return the columns that tell two rows of the frame apart; the cell always."""
    return [name for name in among if name == "cell" or frame[name].nunique() > 1]


def describe(named: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Return "lstm · adding · H=128" for the columns asked for."""
    words = []
    for column in sorted(columns, key=lambda name: (name not in ("cell", "task"),)):
        symbol = SYMBOLS.get(column, "" if column in SELF_EVIDENT else column.replace("_", " "))
        value = named[column]
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        words.append(f"{symbol}={shown}" if symbol else shown)
    return " · ".join(words)


def natural(text: str) -> list[tuple[int, float, str]]:
    """Return a sort key in which 16 comes before 128."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(1, float(part), "") if i % 2 else (0, math.inf, part) for i, part in enumerate(parts)]


def as_row(interval: stats.Interval) -> dict[str, float]:
    """Return the interval under the names of ESTIMATE."""
    return {name: float(value) for name, value in asdict(interval).items()}


def _usable(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    return frame[(frame["status"] == "done") & (frame[key] > 0)]


def _copied(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the copies, each beside the original of its block."""
    known = _usable(frame, key)
    return _with_baseline(known[known["replica"] > 0], known[known["replica"] == 0], key)


def _with_baseline(rows: pd.DataFrame, among: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the rows whose block holds a baseline, with its `key` beside their own."""
    return rows.merge(of_baseline(among, key), on=[*POINT, "block"], suffixes=("", "_base"))


def _point_of(group: pd.DataFrame) -> list[pd.Series]:
    return [group[name] for name in POINT]
