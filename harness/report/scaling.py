"""Tables of growth: exponents with and without an overhead, crossings, and who survives it all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from harness import stats
from harness.report import growth, pairs
from harness.report.columns import Column, Row, Table, axes, is_missing, ranged, word
from harness.report.growth import MISFIT
from harness.report.units import COUNT, MISSING, POWER, RATIO, SECONDS, SHARE

WITHIN = (1.0, 1.5, 2.0, 5.0)  # times the cheapest, at which a profile is read off
PLACE = pairs.PLACE
SERIES = [*PLACE, "implementation"]


def tables(frame: pd.DataFrame) -> tuple[Table, ...]:
    """Return the tables that have rows: exponents, crossings, and profiles of time and memory."""
    made = (
        exponents(frame),
        crossings(frame),
        profiles(frame, "seconds_per_sequence", "profile-time", "Who is near the fastest, always?"),
        profiles(frame, "peak_bytes", "profile-memory", "Who is near the smallest, always?"),
    )
    return tuple(table for table in made if len(table.data))


def exponents(frame: pd.DataFrame) -> Table:
    """Return how time grows with T by two laws, each with how far it is from what was measured."""
    data = _named(growth.exponents(frame, "seconds_per_sequence"), "exponent")
    columns = (
        ranged("exponent", "exponent, t ~ T^c", POWER),
        Column("off by at least", lambda row: _misfit(row["misfit"])),
        ranged("offset_exponent", "exponent, t = a + b T^c", POWER),
        ranged("overhead", "overhead a", SECONDS),
        Column("a + b T^c off by at least", lambda row: _misfit(row["offset_misfit"])),
    )
    note = (
        "Fitted per block, intervals over blocks. An overhead bends the first law and lowers its"
        " exponent; the second has it as a. “Off by at least” is how far some measured length is"
        f" from the law, whatever the blocks scatter; beyond {SHARE.text(MISFIT)} (“!”) the curve"
        " is no such law, and its exponent holds for these lengths alone."
    )
    return _made("scaling", "How does time grow with T?", note, data, columns, frame)


def crossings(frame: pd.DataFrame) -> Table:
    """Return the lengths at which a method and the baseline take the same time."""
    data = growth.crossings(frame, "seconds_per_sequence")
    data = data[data["outcome"] != "too few blocks"].reset_index(drop=True)
    columns = (
        word("base", "and"),
        Column("cross at T", _length),
        Column("measured at", _measured),
        Column("below it", _before, numeric=False),
    )
    note = (
        "Within [low, high] either may be the faster; outside it one is, by the same signed-rank"
        " interval over blocks as every ratio. Between measured lengths the ratio is taken to be"
        " straight over log T: where it jumps, only the measured lengths around it are sure."
        " Nothing is extrapolated."
    )
    return _made("crossings", "Where do they cross?", note, data, columns, frame)


def profiles(frame: pd.DataFrame, key: str, name: str, title: str) -> Table:
    """Return the share of points that each method does within a factor of the cheapest."""
    found = profile_steps(frame, key)
    rows = [
        {**named, "points": int(group["points"].iloc[0]), "failed": float(group["failed"].iloc[0])}
        | {f"within_{factor:g}": _share_at(group, factor) for factor in WITHIN}
        for named, group in _groups(found, SERIES)
    ]
    shares = [f"within_{factor:g}" for factor in WITHIN]
    data = pd.DataFrame(rows, columns=[*PLACE, "implementation", "points", "failed", *shares])
    unit = "time" if key.startswith("seconds") else "memory"
    columns = (
        Column("points", lambda row: COUNT.text(row["points"])),
        *(_share(f"within_{factor:g}", f"within {RATIO.text(factor)}") for factor in WITHIN),
        _share("failed", "did not run"),
    )
    note = (
        f"The share of points (settings and lengths) at which a method needs at most so many times"
        f" the {unit} of the cheapest there (Dolan and Moré). A trial that did not run counts as"
        " infinitely costly, so that nobody gains by failing. Read it for who is best and who is"
        " safe; it does not rank the others, which depend on who is best."
    )
    return _made(name, title, note, data, columns, frame, lengths=False)


def profile_steps(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return performance profiles as step functions, to be drawn: one row a step.

    Columns: results, node, device, implementation, `ratio` (a factor of the cheapest), `share` (of
    points within it), `points`, `failed` (share that never ran). A point's cost is the median over
    its blocks; a point at which any method was tried belongs to every method's count. Places with
    one method have no profile.
    """
    rows = []
    measurement = "memory" if key.endswith("bytes") else "speed"
    tried = frame[(frame["measurement"] == measurement) & (frame["replica"] == 0)]
    for named, group in _groups(tried, PLACE):
        done = group[group["status"] == "done"]
        costs = done.pivot_table(
            index=pairs.POINT, columns="implementation", values=key, aggfunc="median"
        )
        every = group[pairs.POINT].drop_duplicates()
        whole = costs.reindex(
            index=pd.MultiIndex.from_frame(every), columns=sorted(set(group["implementation"]))
        )
        if whole.shape[1] < 2 or done.empty:
            continue
        found = stats.performance_profiles({n: whole[n].to_numpy(float) for n in whole.columns})
        for series, profile in found.items():
            shared = {**named, "implementation": series, "points": profile.problems}
            failed = 1 - profile.within(math.inf)
            steps = list(zip(profile.ratios, profile.shares, strict=True)) or [(1.0, 0.0)]
            rows += [{**shared, "failed": failed, "ratio": r, "share": s} for r, s in steps]
    columns = [*PLACE, "implementation", "ratio", "share", "points", "failed"]
    return pd.DataFrame(rows, columns=columns)


def _groups(table: pd.DataFrame, by: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    for values, group in table.groupby(by, sort=True):
        assert isinstance(values, tuple)  # several columns: pandas gives a tuple
        yield dict(zip(by, values, strict=True)), group


def _share_at(steps: pd.DataFrame, factor: float) -> float:
    reached = steps.loc[steps["ratio"] <= factor, "share"]
    return float(reached.max()) if len(reached) else 0.0


def _made(
    key: str,
    title: str,
    note: str,
    data: pd.DataFrame,
    columns: tuple[Column, ...],
    frame: pd.DataFrame,
    lengths: bool = True,
) -> Table:
    telling = pairs.varying(frame, pairs.SETTING if lengths else PLACE)
    where = axes([name for name in pairs.SETTING if name in telling])
    return Table(key, title, note, data, (*where, word("implementation"), *columns), len(where))


def _named(table: pd.DataFrame, key: str) -> pd.DataFrame:
    names = {"estimate": key, "low": f"{key}_low", "high": f"{key}_high", "count": "blocks"}
    return table.rename(columns=names)


def _length(row: Row) -> str:
    if is_missing(row["length"]):
        return str(row["outcome"])
    return COUNT.interval(*(round(row[name]) for name in ("length", "length_low", "length_high")))


def _measured(row: Row) -> str:
    if is_missing(row["measured_from"]):
        return MISSING
    return f"{row['measured_from']:,.0f} and {row['measured_to']:,.0f}"


def _before(row: Row) -> str:
    """Return who is faster below the crossing; where there is none, who is at every length."""
    if is_missing(row["before"]):
        return MISSING
    return f"{row['before']} is faster{' at all lengths' if is_missing(row['length']) else ''}"


def _misfit(value: float) -> str:
    return SHARE.text(value) + (" !" if value > MISFIT else "")


def _share(key: str, heading: str) -> Column:
    return Column(heading, lambda row: SHARE.text(row[key]))
