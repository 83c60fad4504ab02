"""Figures without global state: panels laid out in inches, axes that speak in units, files out."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from harness.report.figures.palette import INK, MUTED, PAPER, RULE
from harness.report.units import BYTES, Unit

WIDTH = 7.4  # inches: a text column, and what fits a printed page
LEFT, RIGHT, GAP, BOTTOM, TITLE, LEGEND_ROW, TOP = 0.72, 0.12, 0.72, 0.48, 0.3, 0.2, 0.06
PANEL_HEIGHT = 1.75
MOST_PANELS = 6  # more than a reader compares; the tables have the rest
LOG_FROM = 4.0  # a range wider than this factor is drawn on a logarithmic axis
TEXT = 7.5  # points
MOST_TICKS = 6
NARROWEST = 0.01  # of the value: an axis shows no smaller difference than labels can tell
_DIGITS = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1, 3), (1,))  # of ticks, the densest that fits
FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same file on every machine
    "font.size": TEXT,
    "axes.titlesize": TEXT + 0.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": TEXT,
    "axes.edgecolor": MUTED.light,
    "axes.linewidth": 0.6,
    "axes.labelcolor": MUTED.light,
    "axes.titlecolor": INK.light,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE.light,
    "grid.linewidth": 0.6,
    "text.color": INK.light,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.0,
    "figure.facecolor": PAPER.light,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "svg.fonttype": "none",  # text stays text
    "path.simplify": True,
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure with everything that a reader, or a screen reader, needs beside it."""

    key: str  # its files' name
    section: str
    title: str  # the question
    caption: str
    finding: str  # the answer, in words
    figure: Figure
    data: pd.DataFrame  # what is drawn, in base units


def styled(more: Mapping[str, Any] = MappingProxyType({})) -> AbstractContextManager[None]:
    """Return the context in which everything is drawn and saved: the report's style, no global."""
    rc: Any = {**STYLE, **more}  # matplotlib's stubs want its 300 keys as literals
    return mpl.rc_context(rc)


def panels(
    titles: Sequence[str],
    legend_rows: int,
    columns: int = 2,
    left: float = LEFT,
    inside: float = PANEL_HEIGHT,
    beside: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with one pair of axes a title, in rows, below room for the legend.

    `beside` is the room, in inches, that each leaves to its right for the names of lines.
    """
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    row_height = (TITLE if any(titles) else TOP) + inside + BOTTOM
    height = TOP + legend_rows * LEGEND_ROW + rows * row_height
    width = (WIDTH - left - RIGHT - (columns - 1) * GAP) / columns
    figure = Figure(figsize=(WIDTH, height))
    axes = []
    for place, title in enumerate(titles):
        row, column = divmod(place, columns)
        x = left + column * (width + GAP)  # the room beside it included
        y = (rows - 1 - row) * row_height + BOTTOM
        ax = figure.add_axes((x / WIDTH, y / height, (width - beside) / WIDTH, inside / height))
        ax.set_title(title, y=1.0, pad=6)  # places given outright: no layout to compute
        ax.xaxis.set_label_coords(0.5, -0.3 / inside)
        ax.yaxis.set_label_coords(-0.58 / (width - beside), 0.5)
        axes.append(ax)
    return figure, axes


def legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str], columns: int) -> None:
    """Put the legend across the top of the figure."""
    figure.legend(
        handles,
        labels,
        loc="upper left",
        ncols=columns,
        bbox_to_anchor=(0.0, 1.0),
        handlelength=2.4,
        columnspacing=1.6,
        borderaxespad=0.3,
    )


def legend_shape(labels: Sequence[str]) -> tuple[int, int]:
    """Return how many columns and rows the labels need across the figure."""
    longest = max((len(label) for label in labels), default=1)
    columns = max(1, min(len(labels), int(WIDTH / (0.066 * longest + 0.62))))
    return columns, math.ceil(len(labels) / columns)


def length_axis(ax: Axes, lengths: Sequence[int]) -> None:
    """Make x the sequence length: logarithmic, with a tick at every length measured."""
    kept = sorted(set(lengths))
    while len(kept) > 8:  # no more labels than fit a panel
        kept = kept[::-1][::2][::-1]
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(kept))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(min(lengths) / 1.25, max(lengths) * 1.25)
    ax.set_xlabel("sequence length T")


def value_axis(ax: Axes, values: Sequence[float], unit: Unit, label: str) -> None:
    """Make y speak in `unit`: logarithmic where the values span more than a factor of 4."""
    ax.set_ylabel(label)
    _speak(ax.yaxis, ax.set_yscale, ax.set_ylim, values, unit)


def cost_axis(ax: Axes, values: Sequence[float], unit: Unit, label: str) -> None:
    """Make x speak in `unit`, as `value_axis` makes y."""
    ax.set_xlabel(label)
    _speak(ax.xaxis, ax.set_xscale, ax.set_xlim, values, unit)


def _speak(
    axis: Axis,
    scale: Callable[[str], object],
    limit: Callable[[float, float], object],
    values: Sequence[float],
    unit: Unit,
) -> None:
    known = [value for value in values if math.isfinite(value)]
    nothing = 0.0
    if known and min(known) > 0 and max(known) / min(known) > LOG_FROM:
        low, high = min(known), max(known)
        room = (high / low) ** 0.08
        scale("log")
        limit(low / room, high * room)
        axis.set_major_locator(FixedLocator(log_ticks(low / room, high * room, unit)))
        axis.set_minor_locator(NullLocator())
    elif known:
        low, high = min(known), max(known)
        room = max(0.1 * (high - low), NARROWEST * abs(high)) or 1.0
        limit(low - room, high + room)
        axis.set_major_locator(MaxNLocator(MOST_TICKS, steps=[1, 2, 2.5, 5, 10]))
        nothing = 1e-9 * max(abs(low), abs(high))  # what is left of a tick at zero
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: unit.tick(_tidy(value) if abs(value) > nothing else 0.0))
    )


def count_axis(ax: Axes, label: str) -> None:
    """Make x a count: whole numbers only."""
    ax.set_xlabel(label)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def log_ticks(low: float, high: float, unit: Unit) -> list[float]:
    """Return a few round numbers from `low` to `high`; of bytes, powers of 2."""
    if unit is BYTES:
        powers = range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)
        inside = [2.0**power for power in powers if low <= 2.0**power <= high]
        return inside[:: max(1, math.ceil(len(inside) / MOST_TICKS))]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in _DIGITS:
        found = [digit * 10.0**decade for decade in decades for digit in digits]
        inside = [tick for tick in found if low <= tick <= high]
        if len(inside) <= MOST_TICKS:
            return inside
    return inside[:: math.ceil(len(inside) / MOST_TICKS)]


def svg(drawing: Drawing) -> str:
    """Return the figure as SVG, the same bytes for the same numbers."""
    text = _save(drawing, "svg", {"Date": None, "Creator": None}).decode()
    return text.replace("'DejaVu Sans'", FONTS)


def pdf(drawing: Drawing) -> bytes:
    """Return the figure as PDF, the same bytes for the same numbers."""
    return _save(drawing, "pdf", {"CreationDate": None, "Title": drawing.title})


def _save(drawing: Drawing, kind: str, metadata: dict[str, str | None]) -> bytes:
    out = io.BytesIO()
    with styled({"svg.hashsalt": drawing.key}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a user's label
        drawing.figure.savefig(out, format=kind, metadata=metadata)
    return out.getvalue()


def _tidy(value: float) -> float:
    """Return the number that a tick means, without the last bits of its arithmetic."""
    return float(f"{value:.10g}")
