"""Which one has learned most for what it spent: scores against updates, seconds or FLOPs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report import captions, pairs
from harness.report.figures import canvas, curves, lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.curves import CURVE
from harness.report.figures.scene import Scene
from harness.report.metrics import BY_KEY
from harness.report.units import COUNT, FLOPS, PLAIN, SECONDS, Unit
from harness.trial import Record

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """What may be budgeted: how it is called, and how much of it each evaluation came after."""

    key: str  # of the protocol, and of the figure's file
    label: str
    unit: Unit
    spent: Callable[[Values], Sequence[float]]


def _updates(values: Values) -> list[float]:
    return [at * values["updates"] / values["sequences"] for at in values["evaluated_at"]]


def _seconds(values: Values) -> list[float]:
    return list(values["seconds"])


def _flops(values: Values) -> list[float]:
    return [at * values["flops_per_sequence"] for at in values["evaluated_at"]]


COSTS = (
    Cost("budget_updates", "updates", COUNT, _updates),
    Cost("budget_seconds", "training time", SECONDS, _seconds),
    Cost("budget_flops", "work by the method's formula", FLOPS, _flops),
)


def draw(frame: pd.DataFrame, records: Sequence[Record], on: Scene) -> list[Drawing | None]:
    """Return a figure for everything that trainings had a budget of."""
    known = frame[(frame["measurement"] == "training") & (frame["status"] == "done")]
    return [_score(known, records, on, cost) for cost in COSTS]


def _score(known: pd.DataFrame, records: Sequence[Record], on: Scene, cost: Cost) -> Drawing | None:
    asked = [index for index in known.index if cost.key in records[int(index)].trial.protocol]
    known = known.loc[asked]
    table = _table(known, records, cost)
    drawn = curves.figure(table, on, cost.label)
    if drawn is None:
        return None
    figure, shown = drawn
    for ax, panel in zip(figure.axes, shown, strict=True):
        mine = panel.of(table)
        curves.bands(ax, mine, on)
        names = pairs.longest(panel.of(known))["score_name"].dropna()
        levels = [*mine["low"], *mine["high"]]
        canvas.value_axis(ax, levels, PLAIN, str(names.iloc[0]) if len(names) else "score")
        canvas.cost_axis(ax, list(mine["x"]), cost.unit, cost.label)
        curves.name_ends(ax, mine, on)
    curves.legend(figure, table, on)
    caption = (
        f"Score on held-out batches against {cost.label}, the median over blocks with its range;"
        f" all had the same budget of it.{captions.stops(known)}"
    )
    metric = BY_KEY["final_score"]
    found = lines.levels(pairs.estimates(known, "final_score"), metric.unit, on)
    title = f"Who has learned most for the same {cost.label}?"
    key = f"score-{cost.key.removeprefix('budget_')}"
    return Drawing(key, "learning", title, caption + on.remark(), found, figure, table)


def _table(known: pd.DataFrame, records: Sequence[Record], cost: Cost) -> pd.DataFrame:
    """Return a curve a series at each setting's longest length: a point an evaluation.

    Blocks take different times to the same evaluation, so its place is the median of them too.
    """
    rows = []
    for row in pairs.longest(known)[CURVE[:-1]].itertuples():
        point = dict(zip(CURVE, row[1:], strict=False))
        values = records[row[0]].values
        scored = zip(cost.spent(values), values["score"], strict=True)
        rows += [{**point, "place": n, "x": x, "y": y} for n, (x, y) in enumerate(scored)]
    found = pd.DataFrame(rows, columns=[*CURVE, "place", "y"])
    found = found.astype({"x": float, "y": float}).dropna()
    groups = found.groupby([*CURVE[:-1], "place"], as_index=False)
    made: pd.DataFrame = groups.agg(
        x=("x", "median"), estimate=("y", "median"), low=("y", "min"), high=("y", "max")
    )
    return made.drop(columns="place")
