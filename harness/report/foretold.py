"""Estimate against truth: what trials were expected to take before they ran, and what they took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.forecast.expected import Expected
from harness.report.columns import Column, Row, Table, word
from harness.report.units import COUNT, MISSING, RATIO, SECONDS
from harness.trial import Record

KEYS = ["results", "measurement", "implementation"]
RATIOS = ["seconds_ratio", "peak_ratio"]  # of the truth to the estimate
MIDDLE = (0.05, 0.95)  # quantiles: nine of ten trials lie between


def rows(records: Sequence[Record], expected: Mapping[str, Expected], results: str) -> pd.DataFrame:
    """Return one row a trial that is done and was estimated: estimate, truth, their ratios."""
    found = [
        _row(record, expected[record.trial.id], results)
        for record in records
        if record.status == "done" and record.trial.id in expected
    ]
    columns = [*KEYS, "id", "expected_seconds", "seconds", "expected_bytes", "peak_bytes", *RATIOS]
    return pd.DataFrame(found, columns=columns)


def table(trials: pd.DataFrame, order: Sequence[str], basis: str) -> Table:
    """Return estimate against truth, one row a measurement and implementation."""
    found = [_summary(named, group) for named, group in _groups(trials)]
    names = [*KEYS, "trials", "expected_seconds", "seconds"]
    names += [f"{ratio}{end}" for ratio in RATIOS for end in ("", "_low", "_high")]
    data = pd.DataFrame(found, columns=names)
    rank = {name: place for place, name in enumerate(order)}
    data = data.assign(_rank=data["implementation"].map(rank))
    data = data.sort_values([*KEYS[:2], "_rank"]).drop(columns="_rank").reset_index(drop=True)
    several = ["results"] if data["results"].nunique() > 1 else []
    leading = (*map(word, several), word("measurement"))
    columns = (
        *leading,
        word("implementation"),
        Column("trials", lambda row: COUNT.text(row["trials"])),
        Column("estimated time", lambda row: SECONDS.text(row["expected_seconds"])),
        Column("time taken", lambda row: SECONDS.text(row["seconds"])),
        Column("taken / estimated, a trial", lambda row: _ranged(row, "seconds_ratio")),
        Column("peak memory / estimated", lambda row: _ranged(row, "peak_ratio")),
    )
    title = "How true was the estimate?"
    return Table("estimate", title, _note(trials, basis), data, columns, len(leading))


def _row(record: Record, expected: Expected, results: str) -> dict[str, Any]:
    seconds = record.ended - record.started
    peak = _float(record.values.get("peak_bytes"))
    expected_peak = _float(expected.peak_bytes)
    return {
        "results": results,
        "measurement": record.trial.measurement,
        "implementation": record.trial.implementation.label or str(record.trial.implementation),
        "id": record.trial.id,
        "expected_seconds": expected.seconds,
        "seconds": seconds,
        "expected_bytes": expected_peak,
        "peak_bytes": peak,
        "seconds_ratio": seconds / expected.seconds,
        "peak_ratio": peak / expected_peak,
    }


def _float(value: float | int | None) -> float:
    return math.nan if value is None else float(value)


def _groups(trials: pd.DataFrame) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    return [(dict(zip(KEYS, names, strict=True)), group) for names, group in trials.groupby(KEYS)]


def _summary(named: Mapping[str, Any], group: pd.DataFrame) -> dict[str, Any]:
    ends: dict[str, float] = {}
    for ratio in RATIOS:
        known = group[ratio].dropna()
        low, high = (float(known.quantile(share)) for share in MIDDLE)  # NaN where none is known
        ends |= {ratio: float(known.median()), f"{ratio}_low": low, f"{ratio}_high": high}
    sums = {name: group[name].sum() for name in ("expected_seconds", "seconds")}
    return {**named, "trials": len(group), **sums, **ends}


def _ranged(row: Row, ratio: str) -> str:
    if math.isnan(row[ratio]):
        return MISSING
    return RATIO.interval(row[ratio], row[f"{ratio}_low"], row[f"{ratio}_high"])


def _note(trials: pd.DataFrame, basis: str) -> str:
    if not len(trials):
        return ""
    taken, expected = trials["seconds"].sum(), trials["expected_seconds"].sum()
    low, middle, high = trials["seconds_ratio"].quantile([MIDDLE[0], 0.5, MIDDLE[1]])
    return (
        f"Before they ran, these {len(trials):,} trials were expected to take"
        f" {SECONDS.text(expected)} one after another; they took {SECONDS.text(taken)}."
        f" A trial took {RATIO.interval(middle, low, high)} its estimate: the median, and what nine"
        f" of ten lie between. The estimate rested on {basis}."
    )
