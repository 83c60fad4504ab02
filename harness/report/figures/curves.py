"""Curves over training: a panel a setting at its longest length, a line a series, and notes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.report import pairs
from harness.report.figures import canvas, labels, lines
from harness.report.figures.labels import End
from harness.report.figures.palette import MUTED, Style
from harness.report.figures.scene import Panel, Scene
from harness.trial import Record

THICK, THIN = 2.4, 1.0  # points
SHADE = 0.3  # opacity of all ranges together
CURVE = [*pairs.POINT, "implementation", "x"]
Points = tuple[Sequence[float | int], Sequence[float | int | None]]  # x, and y or a null


@dataclass(frozen=True, slots=True)
class Note:
    """A level across a panel that is no curve; the legend names it, so nothing is covered."""

    label: str
    dashes: tuple[float, ...]
    colour: str = MUTED.light

    def draw(self, ax: Axes, y: float) -> bool:
        """Draw the level; return whether there is one."""
        if not math.isfinite(y):
            return False
        line = ax.axhline(y, color=self.colour, linewidth=0.9, zorder=1.5)
        line.set_dashes(self.dashes)
        return True

    def key(self) -> Line2D:
        """Return the legend's key of the level."""
        line = Line2D([], [], color=self.colour, linewidth=0.9)
        line.set_dashes(self.dashes)
        return line


def table(known: pd.DataFrame, records: Sequence[Record], x: str, y: str) -> pd.DataFrame:
    """Return a curve a series at each setting's longest length: median and range over blocks."""

    def curve(index: int) -> Points:
        values = records[index].values
        return values.get(x) or (), values.get(y) or ()

    return over_blocks(known, curve)


def over_blocks(known: pd.DataFrame, curve: Callable[[int], Points]) -> pd.DataFrame:
    """Return the same of what `curve` gives, x and y, for the index of a record.

    Blocks whose points do not lie at the same x, as a budget of seconds or a divergence ended them
    elsewhere, meet in intervals as wide as the widest distance between one block's points.
    """
    rows = []
    for row in pairs.longest(known)[[*pairs.POINT, "implementation"]].itertuples():
        point = dict(zip(CURVE, row[1:], strict=False))
        xs, ys = curve(row[0])
        apart = (xs[-1] - xs[0]) / (len(xs) - 1) if len(xs) > 1 else 0.0
        point |= {"record": row[0], "apart": apart}
        rows += [{**point, "x": at, "y": value} for at, value in zip(xs, ys, strict=False)]
    found = pd.DataFrame(rows, columns=[*CURVE, "record", "apart", "y"])
    found = found.astype({"x": float, "y": float, "apart": float}).dropna()
    series = found.groupby(CURVE[:-1])
    width = series["apart"].transform("max").replace(0.0, 1.0)
    found["place"] = ((found["x"] - series["x"].transform("min")) / width).round()
    own = found.groupby([*CURVE[:-1], "place", "record"], as_index=False)[["x", "y"]].mean()
    made: pd.DataFrame = own.groupby([*CURVE[:-1], "place"], as_index=False).agg(
        x=("x", "median"), estimate=("y", "median"), low=("y", "min"), high=("y", "max")
    )
    return made.drop(columns="place")


def figure(
    found: pd.DataFrame, on: Scene, x_label: str, notes: Sequence[Note] = ()
) -> tuple[Figure, list[Panel]] | None:
    """Return the figure with room for the names of series and notes, and its panels."""
    shown = on.panels(found)
    if not shown:
        return None
    names = _named(found, on)
    longest = [int(panel.of(found)["sequence_length"].max()) for panel in shown]
    titles = [f"{panel.title} · T={t:,}" for panel, t in zip(shown, longest, strict=True)]
    words = [note.label for note in notes] if on.crowded else [*names, *(n.label for n in notes)]
    _, rows = canvas.legend_shape(words) if words else (0, 0)
    made, axes = canvas.panels(titles, rows, beside=labels.width(names) if on.crowded else 0.0)
    for ax, panel in zip(axes, shown, strict=True):
        drawn = [name for name in names if name in panel.names]
        for place, name in enumerate(drawn):
            mine = pairs.at(found, {**panel.setting, "implementation": name}).sort_values("x")
            _curve(ax, mine, on.styles[name], THICK - (THICK - THIN) * place / len(drawn))
        canvas.count_axis(ax, x_label)
    return made, shown


def legend(made: Figure, found: pd.DataFrame, on: Scene, notes: Sequence[Note] = ()) -> None:
    """Name the series, where they have room beside the panels, and the notes that were drawn."""
    names = [] if on.crowded else _named(found, on)
    words = [*names, *(note.label for note in notes)]
    handles = [lines.legend_key(on.styles[name], marker=False) for name in names]
    columns, _ = canvas.legend_shape(words)
    canvas.legend(made, [*handles, *(note.key() for note in notes)], words, columns)


def name_ends(ax: Axes, here: pd.DataFrame, on: Scene) -> None:
    """Name the curves at their ends, where the legend does not; the axes must be scaled."""
    if not on.crowded or here.empty:
        return
    last = here.sort_values("x").groupby("implementation", as_index=False).last()
    ends = zip(last["implementation"], last["x"], last["estimate"], strict=True)
    labels.beside(ax, [End(x, y, str(name), on.styles[name].colour) for name, x, y in ends])


def bands(ax: Axes, found: pd.DataFrame, on: Scene) -> None:
    """Draw every series' range; together no darker than one may be."""
    names = found["implementation"].unique()
    for name in names:
        mine = found[found["implementation"] == name].sort_values("x")
        if (mine["high"] > mine["low"]).any():
            colour, alpha = on.styles[name].colour, SHADE / len(names)
            ends = (mine["x"], mine["low"], mine["high"])
            ax.fill_between(*ends, color=colour, alpha=alpha, linewidth=0)


def _named(found: pd.DataFrame, on: Scene) -> list[str]:
    return [name for name in on.series if name in set(found["implementation"])]


def _curve(ax: Axes, mine: pd.DataFrame, style: Style, width: float) -> None:
    """Draw a curve; the first are the thickest, so that equal ones show as a sheaf."""
    (line,) = ax.plot(mine["x"], mine["estimate"], color=style.colour, linewidth=width)
    if style.dashes:
        line.set_dashes(style.dashes)
