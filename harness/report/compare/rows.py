"""One row a point, implementation and machine: NEW over BASE, in time and in memory."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from harness import stats
from harness.report import pairs
from harness.stats import Interval

SECONDS, FLOOR, BASELINE = "seconds_per_sequence", "floor_ratio", "baseline_ratio"
BESIDE = "baseline_seconds"
ELSEWHERE = ("results", "node")  # of a point, what may differ between two runs
POINT = [name for name in pairs.POINT if name not in ELSEWHERE]
KEY = [*POINT, "gradient", "clips"]  # labels may change, what they stand for may not
MISSED = ("oom", "timeout", "crashed", "failed", "nonfinite")  # "skipped" was never tried
Named = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """How one implementation did at one point in NEW, over how it did in BASE."""

    measure: str  # "speed" or "memory"
    yardstick: str  # the column of the frame that is judged
    named: Named  # the point
    implementation: str  # as NEW calls it
    nodes: tuple[str, str]  # of BASE and NEW
    paired: bool  # over the same blocks of one machine
    ratio: Interval  # what is judged
    margin: float
    verdict: str
    values: tuple[float, float]  # medians of BASE and NEW, in base units
    as_it_was: Interval | None = None  # the same of plain seconds
    against_baseline: Interval | None = None
    changed: tuple[str, ...] = field(default=())  # plugins of it with another source


@dataclass(frozen=True, slots=True)
class Lost:
    """A point that BASE did and NEW did not: a ratio of infinity."""

    measure: str
    named: Named
    implementation: str
    status: str
    reason: str


def times(base: pd.DataFrame, new: pd.DataFrame, same: Collection[str]) -> Iterator[Row]:
    """Yield a row for everything that both runs timed; `same`: nodes that are one machine.

    Each is judged by the best yardstick that its own records have. What would be judged over the
    baseline and is the baseline has no row: it over itself is 1 whatever happened.
    """
    bands = {of: [pairs.margins(one, of) for one in (base, new)] for of in (FLOOR, SECONDS)}
    for named, old, now in _matched(_timed(base), _timed(new)):
        for nodes, paired in _nodes(old, now, same):
            of_base, of_new = old[old["node"] == nodes[0]], now[now["node"] == nodes[1]]
            column = _yardstick(of_base, of_new)
            ratio = _ratio(of_base, of_new, column, paired)
            if ratio is None:
                continue
            both = zip(bands[FLOOR if column == FLOOR else SECONDS], (of_base, of_new), strict=True)
            margin = max(pairs.margin_at(band, _place(rows)) for band, rows in both)
            yield Row(
                "speed",
                column,
                named,
                str(of_new["implementation"].iloc[0]),
                nodes,
                paired,
                ratio,
                margin,
                stats.verdict(ratio, margin),
                (float(of_base[SECONDS].median()), float(of_new[SECONDS].median())),
                _ratio(of_base, of_new, SECONDS, paired),
                _ratio(of_base, of_new, BASELINE, paired),
            )


def memory(base: pd.DataFrame, new: pd.DataFrame) -> Iterator[Row]:
    """Yield a row for everything whose memory both runs counted: exact, so its range is no luck."""
    for named, old, now in _matched(_done(base, "memory"), _done(new, "memory")):
        values = (float(old["peak_bytes"].median()), float(now["peak_bytes"].median()))
        low = now["peak_bytes"].min() / old["peak_bytes"].max()
        high = now["peak_bytes"].max() / old["peak_bytes"].min()
        blocks = min(len(old), len(now))
        ratio = Interval(values[1] / values[0], float(low), float(high), 1.0, blocks)
        verdict = "more" if low > 1 else "less" if high < 1 else "same"
        nodes = (str(old["node"].iloc[0]), str(now["node"].iloc[0]))
        label = str(now["implementation"].iloc[0])
        yield Row("memory", "peak_bytes", named, label, nodes, False, ratio, 0.0, verdict, values)


def lost(base: pd.DataFrame, new: pd.DataFrame) -> Iterator[Lost]:
    """Yield what BASE did at least once and NEW tried and never did."""
    for measure in ("speed", "memory"):
        tried = new[(new["measurement"] == measure) & (new["replica"] == 0)]
        for named, _, now in _matched(_done(base, measure), tried):
            missed = now[now["status"].isin(MISSED)]
            if len(missed) and not (now["status"] == "done").any():
                first = missed.sort_values(["implied_by", "block"]).iloc[0]  # "": it was run
                names = (str(first[name]) for name in ("implementation", "status", "reason"))
                yield Lost(measure, named, *names)


def _done(frame: pd.DataFrame, measurement: str) -> pd.DataFrame:
    known = (frame["status"] == "done") & (frame["replica"] == 0)
    return frame[known & (frame["measurement"] == measurement)]


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what was timed, with the baseline's time in the same block of the same node, and over.

    That is the time of the baseline and its copy, as in a report; the baseline itself has none
    over it. Where a run timed nothing else, its baseline is none.
    """
    done = frame[(frame["status"] == "done") & (frame["measurement"] == "speed")]
    base = pairs.of_baseline(done[done[SECONDS] > 0], SECONDS).rename(columns={SECONDS: BESIDE})
    joined = done[done["replica"] == 0].merge(base, on=[*pairs.POINT, "block"], how="left")
    if joined["baseline"].all():
        joined[BESIDE] = math.nan
    over = joined[SECONDS] / joined[BESIDE]
    return joined.assign(**{BASELINE: over.mask(joined["baseline"])})


def _yardstick(base: pd.DataFrame, new: pd.DataFrame) -> str:
    """Return the column that one implementation at one point is judged by, from its rows of both.

    The floor where every record has it, else the baseline.
    """
    for known, column in ((FLOOR, FLOOR), (BESIDE, BASELINE)):
        if base[known].notna().all() and new[known].notna().all():
            return column
    return SECONDS


def _matched(
    base: pd.DataFrame, new: pd.DataFrame
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]]:
    """Yield every point and implementation that both have, by its name, with its rows."""
    old = {values: group for values, group in base.groupby(KEY, sort=True)}
    for values, group in new.groupby(KEY, sort=True):
        if values in old:
            assert isinstance(values, tuple)  # several columns: pandas gives a tuple
            yield dict(zip(KEY, values, strict=True)), old[values], group


def _nodes(
    base: pd.DataFrame, new: pd.DataFrame, same: Collection[str]
) -> list[tuple[tuple[str, str], bool]]:
    """Return which nodes to compare, and whether as pairs: each that is the same machine in both.

    Where there is none, the node that ran most blocks in each run, unpaired.
    """
    common = sorted(set(base["node"]) & set(new["node"]) & set(same))
    if common:
        return [((node, node), True) for node in common]
    most = (str(one["node"].value_counts().index[0]) for one in (base, new))
    return [((next(most), next(most)), False)]


def _ratio(base: pd.DataFrame, new: pd.DataFrame, column: str, paired: bool) -> Interval | None:
    old, now = (one[one[column] > 0].set_index("block")[column] for one in (base, new))
    if paired:
        blocks = old.index.intersection(now.index)
        old, now = old[blocks], now[blocks]
    if old.empty or now.empty:
        return None
    of = stats.paired_ratio if paired else stats.unpaired_ratio
    return of(now.to_numpy(float), old.to_numpy(float))


def _place(rows: pd.DataFrame) -> dict[str, Any]:
    return {name: rows[name].iloc[0] for name in pairs.PLACE}
