"""Which one has learned most for what it spent: scores against updates, seconds or FLOPs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report import captions, pairs
from harness.report.figures import curves, learning, lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.curves import Points
from harness.report.figures.scene import Scene
from harness.report.metrics import BY_KEY
from harness.report.units import COUNT, FLOPS, SECONDS, Unit
from harness.trial import Record

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """What may be budgeted: how it is called, and how much of it each evaluation came after."""

    key: str  # of the protocol, and of the figure's file
    label: str
    unit: Unit
    ending: str  # of the reason that a training gives which ended by it
    spent: Callable[[Values], Sequence[float | int]]


def _updates(values: Values) -> list[float | int]:
    return [at * values["updates"] / values["sequences"] for at in values["evaluated_at"]]


def _seconds(values: Values) -> list[float | int]:
    return list(values["seconds"])


def _flops(values: Values) -> list[float | int]:
    return [at * values["flops_per_sequence"] for at in values["evaluated_at"]]


COSTS = (
    Cost("budget_updates", "updates", COUNT, " updates", _updates),
    Cost("budget_seconds", "training time", SECONDS, " s", _seconds),
    Cost("budget_flops", "work by the method's formula", FLOPS, " FLOPs", _flops),
)


def draw(frame: pd.DataFrame, records: Sequence[Record], on: Scene) -> list[Drawing | None]:
    """Return a figure for everything that trainings had a budget of, where it ended any."""
    known = frame[(frame["measurement"] == "training") & frame["status"].isin(learning.TRAINED)]
    return [_score(known, records, on, cost) for cost in COSTS]


def _score(known: pd.DataFrame, records: Sequence[Record], on: Scene, cost: Cost) -> Drawing | None:
    asked = [index for index in known.index if cost.key in records[int(index)].trial.protocol]
    known = _decided(pairs.longest(known.loc[asked]), cost)

    def curve(index: int) -> Points:
        values = records[index].values
        return (cost.spent(values), values["score"]) if values.get("score") else ((), ())

    table = curves.over_blocks(known, curve)
    figure = learning.scores(table, known, on, cost.label, cost.unit)
    if figure is None:
        return None
    caption = (
        f"Score on held-out batches against {cost.label}, the median over blocks with its range."
        f"{captions.stops(known, cost.ending)}{captions.broken(known, on.series)} The dashed line"
        " is the best predictor that learns nothing."
    )
    metric = BY_KEY["final_score"]
    found = lines.levels(pairs.estimates(known, "final_score"), metric.unit, on)
    title = f"Who has learned most for the same {cost.label}?"
    key = f"score-{cost.key.removeprefix('budget_')}"
    return Drawing(key, "learning", title, caption + on.remark(), found, figure, table)


def _decided(longest: pd.DataFrame, cost: Cost) -> pd.DataFrame:
    """Return the rows of the settings in which this budget ended a training."""
    ended = longest["stop_reason"].fillna("").astype(str).str.endswith(cost.ending)
    keys = [longest[name] for name in pairs.SETTING]
    return longest[(ended & (longest["status"] == "done")).groupby(keys).transform("any")]
