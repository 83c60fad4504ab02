"""Where the time of a step goes: forward, backward, clip and optimizer at three lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from harness.report import pairs
from harness.report.figures import canvas, lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.palette import INK, MUTED, SERIES
from harness.report.figures.scene import Scene
from harness.report.readings import PHASES
from harness.report.sentences import listed
from harness.report.tables import references
from harness.report.units import SECONDS, SHARE, Unit

BAR = 0.135  # inches from one implementation to the next, at least
BARS = 3  # lengths whose phases are shown: the shortest, a middle one, the longest
CELLS = 2  # rows of panels
ROOM = 1.38  # times the longest bar: the time stands behind it
NAMES = [f"{phase}_seconds" for phase in PHASES]
KEYS = [*pairs.POINT, "implementation"]


def draw(frame: pd.DataFrame, on: Scene) -> list[Drawing | None]:
    """Return the one figure: stacked bars, a row of panels a cell.

    Of many series, the slowest would hide the others: the bars are shares, beside each its time.
    """
    known = frame[(frame["status"] == "done") & (frame["replica"] == 0)]
    known = known[known[NAMES].notna().any(axis=1)]
    places = [_setting(point) for point in references(known)][:CELLS] if len(known) else []
    if not places:
        return []
    steps = known["sequence_length"] * known["batch_size"]
    per_step = known.assign(**{name: known[name] / steps for name in NAMES})
    every = per_step.groupby(KEYS, as_index=False)[NAMES].median()
    table = pd.concat([pairs.at(every, place) for place in places])
    figure = _figure(table, places, on)
    caption = (
        "Time per step, by phase, from a short run of its own, so that splitting costs the"
        f" timings above nothing. {'Shares of it' if on.crowded else 'One scale a row'}."
    )
    where = listed([on.panel_title(place) for place in places])
    settings = len(pairs.settings(every))
    if settings > len(places):
        caption += f" Only {where}, of {settings} settings; the CSV of every trial has all."
    title = "How is the time of one step split?"
    return [Drawing("phases", "phases", title, caption, _share(table, on, where), figure, table)]


def _figure(table: pd.DataFrame, places: Sequence[dict[str, Any]], on: Scene) -> Figure:
    lengths = _three(sorted({int(length) for length in table["sequence_length"]}))
    shown = [name for name in on.series if name in set(table["implementation"])]
    titles = [f"{on.panel_title(place)} · T={length:,}" for place in places for length in lengths]
    left = 0.25 + 0.062 * max(len(name) for name in shown)
    inside = max(canvas.PANEL_HEIGHT, BAR * len(shown))
    figure, axes = canvas.panels(titles, 1, columns=len(lengths), left=left, inside=inside)
    for place, ax in enumerate(axes):
        row, column = divmod(place, len(lengths))
        here = pairs.at(table, {**places[row], "sequence_length": lengths[column]})
        seconds = here.set_index("implementation").reindex(shown)[NAMES].fillna(0.0)
        totals = seconds.sum(axis=1)
        if on.crowded:
            _bars(ax, seconds.div(totals.where(totals > 0, 1.0), axis=0), totals)
            _axis(ax, 1.0, SHARE, "share of a step")
        else:
            _bars(ax, seconds, totals)
            widest = float(pairs.at(table, places[row])[NAMES].sum(axis=1).max())
            _axis(ax, widest, SECONDS, "time per step")
        _names(ax, shown if column == 0 else [""] * len(shown), on)
    handles = [Patch(color=colour.light) for colour in SERIES[: len(PHASES)]]
    canvas.legend(figure, handles, list(PHASES), len(PHASES))
    return figure


def _bars(ax: Axes, widths: pd.DataFrame, totals: pd.Series) -> None:
    """Draw a bar a row, its phases end to end, and behind it the total in seconds."""
    start = pd.Series(0.0, index=widths.index)
    for phase, colour in zip(NAMES, SERIES, strict=False):
        ax.barh(range(len(widths)), widths[phase], left=start, height=0.62, color=colour.light)
        start = start + widths[phase]
    for place, (end, total) in enumerate(zip(start, totals, strict=True)):
        if total > 0:
            text = SECONDS.text(total)
            ax.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center")
    ax.set_ylim(len(widths) - 0.5, -0.5)


def _axis(ax: Axes, widest: float, unit: Unit, label: str) -> None:
    ax.set_xlim(0, widest * ROOM)
    ax.grid(visible=False)
    ax.spines["left"].set_color(MUTED.light)
    ticks = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(0, widest)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0 <= tick <= widest]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: unit.tick(value) if value else "0"))
    ax.set_xlabel(label)


def _names(ax: Axes, names: Sequence[str], on: Scene) -> None:
    ax.set_yticks(range(len(names)), list(names))
    ax.tick_params(axis="y", labelcolor=INK.light, length=0)
    for text, name in zip(ax.get_yticklabels(), names, strict=True):
        if on.crowded and name:
            text.set_color(on.styles[name].colour)


def _share(table: pd.DataFrame, on: Scene, where: str) -> str:
    """Return what share of its time each implementation spends backward there, in words."""
    totals = table.groupby("implementation")[NAMES].sum()
    backward = (totals["backward_seconds"] / totals.sum(axis=1)).to_dict()
    known = {name: float(backward[name]) for name in on.series if name in backward}
    said = ", ".join(f"{name} {SHARE.text(share)}" for name, share in known.items())
    if on.crowded:
        said = lines.by_kind(known, SHARE, on)
    return f"Share of the time spent backward, over {where}: {said}."


def _setting(point: dict[str, Any]) -> dict[str, Any]:
    return {name: point[name] for name in pairs.SETTING}


def _three(lengths: list[int]) -> list[int]:
    if len(lengths) <= BARS:
        return lengths
    return [lengths[0], lengths[len(lengths) // 2], lengths[-1]]
