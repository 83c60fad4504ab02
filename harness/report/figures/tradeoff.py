"""What less time or memory costs: time against memory, the gradient's error beside each name."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from harness.report import pairs, tradeoff
from harness.report.columns import Row
from harness.report.figures import canvas, labels
from harness.report.figures.canvas import Drawing
from harness.report.figures.labels import End
from harness.report.figures.palette import MUTED
from harness.report.figures.scene import Scene
from harness.report.tradeoff import ROUNDING
from harness.report.units import PLAIN, RATIO

INSIDE = 2.6  # inches: room for a dozen names
FADED = 0.28  # opacity of what is beaten


def draw(frame: pd.DataFrame, on: Scene) -> list[Drawing | None]:
    """Return the one figure, a panel a reference point."""
    table = tradeoff.points(frame)
    shown = [point for point, _ in pairs.groups(table.assign(block=0), pairs.POINT)]
    if not shown:
        return []
    titles = [pairs.describe(point, [*on.telling, "sequence_length"]) for point in shown]
    figure, axes = canvas.panels(titles, 0, columns=1, inside=INSIDE)
    for ax, point in zip(axes, shown, strict=True):
        _panel(ax, pairs.at(table, point), on)
    caption = (
        "Against the baseline; to the left is faster, further down is less memory, and behind a"
        " name stands how far its gradient is from the exact one, in lengths of it. Full: nothing"
        " is faster, as smaller and as right; faded: something is. The line joins those that are"
        " exact. The peak counts everything, parameters and batch too."
    )
    title = "What do I pay for less time or memory?"
    found = tradeoff.told(table, frame)
    return [Drawing("tradeoff", "tradeoff", title, caption, found, figure, table)]


def _panel(ax: Axes, here: pd.DataFrame, on: Scene) -> None:
    front = here[here["beaten_by"] == ""]
    exact = front[front["relative_error"] <= ROUNDING].sort_values("time_ratio")
    ax.step(
        exact["time_ratio"],
        exact["memory_ratio"].cummin(),
        where="post",
        color=MUTED.light,
        linewidth=0.6,
        zorder=1.4,
    )
    for row in pairs.plain(here):
        style = on.styles[row["implementation"]]
        ax.plot(
            [row["time_ratio"]],
            [row["memory_ratio"]],
            style.marker,
            color=style.colour,
            markersize=5.5,
            markeredgewidth=0.0,
            alpha=1.0 if row["beaten_by"] == "" else FADED,
            zorder=3,
        )
    for draw_line in (ax.axhline, ax.axvline):
        draw_line(1.0, color=MUTED.light, linewidth=0.8, linestyle=(0, (5, 2)), zorder=1.2)
    canvas.value_axis(ax, list(here["memory_ratio"]), RATIO, "peak memory / baseline")
    canvas.cost_axis(ax, list(here["time_ratio"]), RATIO, "time / baseline")
    ends = [
        End(
            row["time_ratio"],
            row["memory_ratio"],
            _name(row),
            on.styles[row["implementation"]].colour,
        )
        for row in pairs.plain(front)
    ]
    beaten = here[here["beaten_by"] != ""]
    labels.near(ax, ends, list(zip(beaten["time_ratio"], beaten["memory_ratio"], strict=True)))


def _name(row: Row) -> str:
    """Return "snap1 · 0.39", or the name alone where the gradient is exact."""
    if row["relative_error"] <= ROUNDING:
        return str(row["implementation"])
    return f"{row['implementation']} · {PLAIN.text(row['relative_error'])}"
