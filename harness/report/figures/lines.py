"""One metric against the sequence length: a panel a setting, a line a series, intervals on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.report import pairs
from harness.report.figures import canvas, labels
from harness.report.figures.labels import End
from harness.report.figures.palette import INK, Style
from harness.report.figures.scene import Panel, Scene
from harness.report.sentences import listed
from harness.report.units import Unit

_ENDS = ("estimate", "low", "high")
DODGE = 0.035  # octaves between neighbours, so that equal values do not hide one another


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
    panels = on.panels(table)
    if not panels:
        return None
    figure, axes = layout(panels, table, on, [reference] if reference else [])
    drawn = [panel.of(table) for panel in panels]
    ends = [*beside, *(value for part in drawn for name in _ENDS for value in part[name])]
    for ax, panel, part in zip(axes, panels, drawn, strict=True):
        names = [name for name in panel.names if name in set(part["implementation"])]
        _panel(ax, part, names, on)
        canvas.length_axis(ax, [int(length) for length in part["sequence_length"]])
        canvas.value_axis(ax, [*ends, 1.0] if reference else ends, unit, label)  # one scale for all
        if reference:
            ax.axhline(1.0, color=INK.light, linewidth=1.0, zorder=1.5)
        if on.crowded:
            tips = [_tip(part, name, on) for name in names]
            right = max(tip.x for tip in tips)
            tips += [End(right, 1.0, reference, INK.light)] if reference else []
            labels.beside(ax, tips)
    return figure


def layout(
    panels: Sequence[Panel], table: pd.DataFrame, on: Scene, notes: Sequence[str] = ()
) -> tuple[Figure, list[Axes]]:
    """Return empty panels: with a legend of notes and series, or room for names beside each."""
    titles = [panel.title for panel in panels]
    names = [name for name in on.series if name in set(table["implementation"])]
    if on.crowded:
        room = labels.width([*names, *notes])
        return canvas.panels(titles, 0, columns=2, beside=room)
    words = [*notes, *names]
    columns, rows = canvas.legend_shape(words)
    figure, axes = canvas.panels(titles, rows)
    handles = [legend_key(on.styles[name]) for name in names]
    handles = [*(Line2D([], [], color=INK.light, linewidth=1.0) for _ in notes), *handles]
    canvas.legend(figure, handles, words, columns)
    return figure, axes


def _tip(table: pd.DataFrame, name: str, on: Scene) -> End:
    """Return where a series ends, with its name."""
    last = table[table["implementation"] == name].sort_values("sequence_length").iloc[-1]
    colour = on.styles[name].colour
    return End(float(last["sequence_length"]), float(last["estimate"]), name, colour)


def legend_key(style: Style, marker: bool = True) -> Line2D:
    """Return the legend's key of a series."""
    line = Line2D([], [], color=style.colour, marker=style.marker if marker else "")
    _dress(line, style)
    return line


def levels(table: pd.DataFrame, unit: Unit, on: Scene) -> str:
    """Return in words where every series stands at the longest T, lowest first, equals as one.

    Of many series, where those of each kind begin and end.
    """
    ends = [pairs.longest(here) for at in on.settings if len(here := pairs.at(table, at))]
    last = pd.concat(ends).dropna(subset=["estimate"])
    names: dict[str, list[str]] = {}
    middle = last.groupby("implementation")["estimate"].median()
    if on.crowded:
        return f"At the longest T: {by_kind({str(k): v for k, v in middle.items()}, unit, on)}."
    for name in sorted(middle.index, key=lambda name: (middle[name], on.series.index(name))):
        mine = last.loc[last["implementation"] == name, "estimate"]
        names.setdefault(unit.span(sorted(mine)), []).append(name)
    reached = len(middle) == table["implementation"].nunique()  # by every series
    if len(names) == 1 and len(middle) > 1 and reached:
        return f"At the longest T all are the same: {next(iter(names))}."
    return f"At the longest T: {'; '.join(f'{listed(some)} {at}' for at, some in names.items())}."


def by_kind(values: Mapping[str, float], unit: Unit, on: Scene) -> str:
    """Return "exact: 0.11x (native) to 37x (rtrl); unbiased: 30x (uoro)": each kind's ends."""
    said = []
    for kind, names in on.groups().items():
        known = sorted((values[name], name) for name in names if name in values)
        if not known:
            continue
        (low, least), (high, most) = known[0], known[-1]
        if len(known) > 1 and unit.text(low) == unit.text(high):
            said.append(f"{kind}: {unit.text(low)}, all {len(known)}")
        elif len(known) > 1:
            said.append(f"{kind}: {unit.text(low)} ({least}) to {unit.text(high)} ({most})")
        else:
            said.append(f"{kind}: {unit.text(low)} ({least})")
    return "; ".join(said)


def thin(ax: Axes, theory: pd.DataFrame, on: Scene, dashes: tuple[float, ...] = ()) -> None:
    """Draw what theory says as thin lines, in the colours of the series."""
    for name, mine in theory.groupby("implementation"):
        drawn = mine.sort_values("sequence_length")
        colour = on.styles[str(name)].colour
        x, y = drawn["sequence_length"], drawn["estimate"]
        (line,) = ax.plot(x, y, color=colour, linewidth=0.6, alpha=0.7, zorder=1.6)
        if dashes:
            line.set_dashes(dashes)


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
