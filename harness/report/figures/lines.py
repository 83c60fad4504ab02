"""One metric against the sequence length: a panel a setting, a line a series, intervals on both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.report import pairs
from harness.report.figures import canvas
from harness.report.figures.palette import INK, Style, styles
from harness.report.sentences import listed
from harness.report.units import Unit

_ENDS = ("estimate", "low", "high")
DODGE = 0.035  # octaves between neighbours, so that equal values do not hide one another


@dataclass(frozen=True, slots=True)
class Scene:
    """What all figures of a report share: who is drawn how, and which settings get a panel."""

    series: tuple[str, ...]
    baselines: tuple[str, ...]
    styles: dict[str, Style]
    settings: tuple[dict[str, Any], ...]  # the panels, no more than a reader compares
    left_out: int  # settings without a panel
    telling: tuple[str, ...]  # the columns that tell settings apart

    def panel_title(self, setting: dict[str, Any]) -> str:
        """Return "lstm · adding"."""
        return pairs.describe(setting, self.telling)

    def remark(self) -> str:
        """Return what a caption must add where not every setting has a panel."""
        if not self.left_out:
            return ""
        return f" {self.left_out} more settings are in the tables."


def scene(frame: pd.DataFrame) -> Scene:
    """Return the scene for a report: the largest sizes of each machine, device, cell and task."""
    series = pairs.series_order(frame)
    baselines = sorted(set(frame.loc[frame["baseline"], "implementation"]))
    every = pairs.settings(frame)
    largest: dict[tuple[str, ...], dict[str, Any]] = {}
    for setting in sorted(every, key=lambda row: (row["hidden_size"], row["batch_size"])):
        place = tuple(str(setting[name]) for name in ("results", "node", "device", "cell", "task"))
        largest[place] = setting
    chosen = _spread([setting for setting in every if setting in largest.values()])
    return Scene(
        tuple(series),
        tuple(baselines),
        styles(series, baselines),
        tuple(chosen),
        len(every) - len(chosen),
        tuple(pairs.varying(frame)),
    )


def _spread(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return as many settings as have room, in turn from every machine, device and cell."""
    seen: Counter[tuple[str, ...]] = Counter()
    turns = []
    for place, setting in enumerate(settings):
        group = tuple(str(setting[name]) for name in ("results", "node", "device", "cell"))
        seen[group] += 1
        turns.append((seen[group], place))
    kept = sorted(place for _, place in sorted(turns)[: canvas.MOST_PANELS])
    return [settings[place] for place in kept]


def over_length(
    table: pd.DataFrame,
    unit: Unit,
    label: str,
    on: Scene,
    reference: str = "",
    beside: Sequence[float] = (),
) -> Figure | None:
    """Return the figure of `estimate` with `low` and `high`; None where there is nothing to draw.

    `reference` labels a line at 1: what a ratio is against. The axis has room for `beside`.
    """
    shown = [setting for setting in on.settings if len(pairs.at(table, setting))]
    if not shown:
        return None
    names = [name for name in on.series if name in set(table["implementation"])]
    labels = [*([reference] if reference else []), *names]
    columns, rows = canvas.legend_shape(labels)
    figure, axes = canvas.panels([on.panel_title(setting) for setting in shown], rows)
    drawn = [pairs.at(table, setting) for setting in shown]
    ends = [*beside, *(value for part in drawn for name in _ENDS for value in part[name])]
    for ax, part in zip(axes, drawn, strict=True):
        _panel(ax, part, names, on)
        canvas.length_axis(ax, [int(length) for length in part["sequence_length"]])
        canvas.value_axis(ax, [*ends, 1.0] if reference else ends, unit, label)  # one scale for all
        if reference:
            ax.axhline(1.0, color=INK.light, linewidth=1.0, zorder=1.5)
    handles = [legend_key(on.styles[name]) for name in names]
    if reference:
        handles.insert(0, Line2D([], [], color=INK.light, linewidth=1.0))
    canvas.legend(figure, handles, labels, columns)
    return figure


def legend_key(style: Style, marker: bool = True) -> Line2D:
    """Return the legend's key of a series."""
    line = Line2D([], [], color=style.colour, marker=style.marker if marker else "")
    _dress(line, style)
    return line


def levels(table: pd.DataFrame, unit: Unit, on: Scene) -> str:
    """Return in words where every series stands at the longest T, lowest first, equals as one."""
    ends = [pairs.longest(here) for at in on.settings if len(here := pairs.at(table, at))]
    last = pd.concat(ends)
    names: dict[str, list[str]] = {}
    middle = last.groupby("implementation")["estimate"].median()
    for name in sorted(middle.index, key=lambda name: (middle[name], on.series.index(name))):
        mine = last.loc[last["implementation"] == name, "estimate"].dropna()
        if len(mine):
            names.setdefault(unit.span(sorted(mine)), []).append(name)
    if len(names) == 1:
        return f"At the longest T all are the same: {next(iter(names))}."
    return f"At the longest T: {'; '.join(f'{listed(some)} {at}' for at, some in names.items())}."


def _panel(ax: Axes, table: pd.DataFrame, names: Sequence[str], on: Scene) -> None:
    for place, name in enumerate(names):
        mine = table[table["implementation"] == name].sort_values("sequence_length")
        if mine.empty:
            continue
        shift = 2.0 ** (DODGE * (place - (len(names) - 1) / 2))
        x = mine["sequence_length"] * shift
        style = on.styles[name]
        (line,) = ax.plot(x, mine["estimate"], color=style.colour, marker=style.marker)
        _dress(line, style)
        wide = mine[(mine["high"] > mine["low"])]
        ax.vlines(
            wide["sequence_length"] * shift, wide["low"], wide["high"], style.colour, linewidth=1.0
        )


def _dress(line: Line2D, style: Style) -> None:
    line.set_linewidth(1.3)
    line.set_markersize(4.0)
    line.set_markeredgewidth(0.0)
    if style.dashes:
        line.set_dashes(style.dashes)


def cross(ax: Axes, length: int, style: Style, height: float) -> None:
    """Mark a length at which something did not run, at a height between 0 and 1 of the panel."""
    ax.plot(
        [length],
        [height],
        marker="x",
        markersize=6,
        markeredgewidth=1.6,
        color=style.colour,
        transform=ax.get_xaxis_transform(),
        clip_on=False,
        linestyle="none",
    )
