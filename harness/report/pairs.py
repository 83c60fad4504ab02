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

from harness import stats

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
ESTIMATE = ["estimate", "low", "high", "confidence", "count"]
SELF_EVIDENT = frozenset({"results", "node", "device", "dtype", "cell", "task", "optimizer"})
SYMBOLS = {"sequence_length": "T", "hidden_size": "H", "batch_size": "B"}


def estimates(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the median over blocks of `key`, with its interval: one row a point and series."""
    known = frame[(frame["status"] == "done") & frame[key].notna()]
    rows = [
        {**named, **_as_row(stats.median_interval(list(group[key])))}
        for named, group in groups(known, [*POINT, "implementation"])
    ]
    return pd.DataFrame(rows, columns=[*POINT, "implementation", *ESTIMATE])


def ratios(frame: pd.DataFrame, key: str, margin: float = stats.MARGIN) -> pd.DataFrame:
    """Return `key` over the baseline's, from blocks that hold both: one row a point and series."""
    known = frame[(frame["status"] == "done") & (frame[key] > 0)]
    shared = [*POINT, "block"]
    base = known[known["baseline"]].drop_duplicates(shared)[[*shared, key]]
    pairs = known[~known["baseline"]].merge(base, on=shared, suffixes=("", "_base"))
    rows = []
    for named, group in groups(pairs, [*POINT, "implementation"]):
        interval = stats.paired_ratio(list(group[key]), list(group[f"{key}_base"]))
        verdict = stats.verdict(interval, margin)
        rows.append({**named, **_as_row(interval), "verdict": verdict})
    return pd.DataFrame(rows, columns=[*POINT, "implementation", *ESTIMATE, "verdict"])


def exponents(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return c of key ~ T^c, fitted per block over its lengths: one row a setting and series."""
    known = frame[(frame["status"] == "done") & (frame[key] > 0)]
    rows = []
    for named, group in groups(known, [*SETTING, "implementation"]):
        blocks = group.pivot_table(index="block", columns="sequence_length", values=key)
        whole = blocks.dropna()
        if whole.empty:
            continue
        law = stats.power_law([int(length) for length in whole.columns], whole.to_numpy().tolist())
        if law is not None:
            rows.append({**named, **_as_row(law.exponent)})
    return pd.DataFrame(rows, columns=[*SETTING, "implementation", *ESTIMATE])


def groups(
    table: pd.DataFrame, columns: list[str]
) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield what names each group, and its rows by block."""
    for values, group in table.sort_values("block").groupby(columns, sort=True):
        assert isinstance(values, tuple)  # several columns: pandas gives a tuple
        yield dict(zip(columns, values, strict=True)), group


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
    """Return the implementations, the baseline first, numbers in their names by size."""
    baselines = set(frame.loc[frame["baseline"], "implementation"])
    names = set(frame["implementation"])
    return sorted(names, key=lambda name: (name not in baselines, natural(name)))


def settings(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return every setting of the frame, in a fixed order."""
    unique = frame[SETTING].drop_duplicates().to_dict("records")
    plain = [{str(name): value for name, value in row.items()} for row in unique]
    return sorted(plain, key=lambda row: [natural(str(value)) for value in row.values()])


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


def _as_row(interval: stats.Interval) -> dict[str, float]:
    return {name: float(value) for name, value in asdict(interval).items()}
