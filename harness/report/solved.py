"""How soon a task is solved, where some trainings ended before they had solved it.

A training that its budget ended unsolved says "later than that", one that diverged says "never",
and one that the time limit ended says nothing of when, but that it was slow.
Leaving them out, or counting them as solved when they ended, would make slow methods look fast.
"""

from __future__ import annotations

import math

import pandas as pd

from harness import stats
from harness.report import pairs
from harness.report.columns import Column, Row, Table, axes, ranged, word
from harness.report.units import COUNT, MISSING, SECONDS, SHARE, Unit

KEYS = [*pairs.POINT, "implementation"]
COSTS = {"updates": "solved_at_update", "training_seconds": "solved_after_seconds"}  # end, event
ENDS = ("", "_low", "_high")


def table(frame: pd.DataFrame) -> Table:
    """Return the share of trainings that solved the task, and what that took; empty if none did."""
    known = frame[(frame["measurement"] == "training") & (frame["replica"] == 0)]
    known = known[known["status"].isin(["done", "nonfinite", "timeout"])]
    rows = [
        {**named, **_share(group)} | {k: v for end in COSTS for k, v in _until(group, end).items()}
        for named, group in pairs.groups(known, KEYS)
        if known["solved_at_update"].notna().any()
    ]
    numbers = [f"{name}{end}" for name in ("solved", *COSTS.values()) for end in ENDS]
    data = pd.DataFrame(rows, columns=[*KEYS, "trainings", *numbers])
    heads = pairs.heads(frame, pairs.POINT)
    columns = (
        *axes(heads),
        word("implementation"),
        Column("not reached", _missed_text),
        ranged("solved", "solved", SHARE),
        _cost("solved_at_update", "updates to solved", COUNT),
        _cost("solved_after_seconds", "training time to solved", SECONDS),
    )
    note = (
        "Until the held-out score first counts as solved, seen as often as the model is scored: the"
        " median over the blocks' seeds by Kaplan and Meier. Its 95 % interval needs 6 trainings,"
        " its upper end 6 that solve it, and under some 10 it is approximate. A training that ended"
        " unsolved counts as later than its end. One that diverged counts as never, and so does one"
        " over its time limit, which left no end: as later than every end that is known. The share"
        " has Wilson's interval."
    )
    ordered = pairs.ordered(data, frame, pairs.POINT)
    return Table("solved", "How soon is it solved?", note, ordered, columns, len(heads))


def _share(group: pd.DataFrame) -> dict[str, float | int]:
    share = stats.wilson(int(group["solved_at_update"].notna().sum()), len(group))
    ends = {"solved": share.estimate, "solved_low": share.low, "solved_high": share.high}
    return {"trainings": len(group), **ends}


def _until(group: pd.DataFrame, end: str) -> dict[str, float]:
    """Return the median of what it took to solve the task, its interval, by the event's name."""
    event = COSTS[end]
    solved = group[event].notna()
    never = group["status"].isin(["nonfinite", "timeout"]) & ~solved
    spent = group[event].where(solved, group[end])
    longest = 0.0 if spent.isna().all() else spent.max()  # nobody is known to have gone on for more
    spent = spent.mask(never, longest)
    known = spent.notna()
    if not known.any():
        return dict.fromkeys((f"{event}{one}" for one in ENDS), math.nan)
    found = stats.median_until(list(spent[known]), list(solved[known]))
    return {event: found.estimate, f"{event}_low": found.low, f"{event}_high": found.high}


def _missed_text(row: Row) -> str:
    """Return "2 of 5": how many trainings did not solve it."""
    trainings = int(row["trainings"])
    return f"{trainings - round(row['solved'] * trainings)} of {trainings}"


def _cost(key: str, heading: str, unit: Unit) -> Column:
    """Return a column "120 [80, ∞)", "120" alone where neither end is known, or "not reached"."""

    def text(row: Row) -> str:
        estimate, low, high = (row[f"{key}{end}"] for end in ENDS)
        if math.isnan(estimate):
            return MISSING
        if math.isinf(estimate):
            return f"not reached; over {unit.text(low)}" if 0 < low < math.inf else "not reached"
        if math.isinf(high) and low > 0:
            return f"{unit.text(estimate)} [{unit.text(low)}, ∞)"
        return unit.interval(estimate, low, high)

    return Column(heading, text)
