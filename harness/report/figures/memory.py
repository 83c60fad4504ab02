"""What fits: memory against the sequence length, beside theory; where it ran out or is saved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report import pairs, savings
from harness.report.figures import lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.palette import MUTED
from harness.report.figures.scene import Panel, Scene
from harness.report.units import BYTES


@dataclass(frozen=True, slots=True)
class _Measured:
    """A metric of memory with its theory: its column in the frame, and what it is called."""

    key: str
    theory: str
    label: str


PEAK = _Measured("peak_bytes", "theory_peak_bytes", "peak memory")
KEPT = _Measured("kept_bytes", "theory_kept_bytes", "kept for backward")


def draw(frame: pd.DataFrame, on: Scene) -> list[Drawing | None]:
    """Return the figures of memory: what is needed at the peak, and what is kept."""
    return [_peak(frame, on), _kept(frame, on)]


def _peak(frame: pd.DataFrame, on: Scene) -> Drawing | None:
    data = _data(frame, PEAK)
    drawn = _beside_theory(data, PEAK, on)
    if drawn is None:
        return None
    out = _first_oom(frame)
    for ax, panel in zip(drawn.axes, on.panels(data), strict=True):
        _out_of_memory(ax, panel.of(out), on)
    caption = (
        "All live tensor bytes at the peak, parameters and batch included. Thin lines: static +"
        " batch + what theory says is kept for the backward pass and held in it. A cross: the first"
        " length that ran out of memory." + on.remark()
    )
    title = "How does peak memory grow with the sequence?"
    found = lines.levels(data, BYTES, on)
    return Drawing("peak-memory", "memory", title, caption, found, drawn, data)


def _kept(frame: pd.DataFrame, on: Scene) -> Drawing | None:
    data = _data(frame, KEPT)
    some = data[data["estimate"] > 0]
    drawn = _beside_theory(some, KEPT, on)
    if drawn is None:
        return None
    turns = savings.turning_points(frame, KEPT.key)
    turns = turns[turns["still"] & (turns["outcome"] == "less from")]
    for ax, panel in zip(drawn.axes, on.panels(some), strict=True):
        for row in panel.of(turns).to_dict("records"):
            _mark(ax, panel, some, row["implementation"], float(row["length"]), on)
    caption = (
        "What is held for the backward pass when it begins, or carried from step to step instead."
        " Thin lines: theory. A ring: from this length on, what stands still as T grows is less"
        " than what the baseline keeps. Where there is none, they do not meet within these"
        " lengths." + (" What keeps nothing has no line." if len(some) < len(data) else "")
    ) + on.remark()
    base = " and ".join(on.baselines)
    title = f"From which length is less kept than {base} keeps?" if base else "What is kept?"
    found = savings.told(frame) or lines.levels(data, BYTES, on)
    return Drawing("kept-memory", "memory", title, caption, found, drawn, data)


def _beside_theory(data: pd.DataFrame, measured: _Measured, on: Scene) -> Figure | None:
    """Return the figure of what was measured, with theory as thin lines."""
    theory = data[data[measured.theory] > 0]
    beside = list(theory[measured.theory])
    figure = lines.over_length(data, BYTES, measured.label, on, beside=beside)
    if figure is not None:
        thin = theory.assign(estimate=theory[measured.theory])
        for ax, panel in zip(figure.axes, on.panels(data), strict=True):
            lines.thin(ax, panel.of(thin), on)
    return figure


def _data(frame: pd.DataFrame, measured: _Measured) -> pd.DataFrame:
    """Return what was measured with what theory says beside it."""
    keys = [*pairs.POINT, "implementation"]
    theory = pairs.estimates(frame, measured.theory)[[*keys, "estimate"]]
    theory = theory.rename(columns={"estimate": measured.theory})
    return pairs.estimates(frame, measured.key).merge(theory, on=keys, how="left")


def _mark(ax: Axes, panel: Panel, data: pd.DataFrame, name: str, length: float, on: Scene) -> None:
    """Draw a ring where a series falls below the baseline for good."""
    mine = panel.of(data)
    mine = mine[mine["implementation"] == name].sort_values("sequence_length")
    lengths, kept = (mine[key].to_numpy(float) for key in ("sequence_length", "estimate"))
    height = float(np.interp(length, lengths, kept))
    ax.plot(
        [length],
        [height],
        marker="o",
        markersize=8,
        markeredgewidth=1.4,
        markerfacecolor="none",
        color=on.styles[name].colour,
        linestyle="none",
        zorder=4,
    )


def _out_of_memory(ax: Axes, out: pd.DataFrame, on: Scene) -> None:
    """Draw a cross at the first length of each series that ran out of memory."""
    ordered = out.sort_values("sequence_length")
    for place, row in enumerate(ordered.to_dict("records")):
        height = 0.97 - 0.09 * place
        lines.cross(ax, row["sequence_length"], on.styles[row["implementation"]], height)
        ax.annotate(
            "out of memory",
            (row["sequence_length"], height),
            (-6, 0),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="center",
            color=MUTED.light,
        )
    if len(ordered):
        low, high = ax.get_xlim()
        ax.set_xlim(low, max(high, float(ordered["sequence_length"].max()) * 1.25))


def _first_oom(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the shortest length at which a series ran out, and ran at no longer one."""
    keys = [*pairs.SETTING, "implementation"]
    out = frame[frame["status"] == "oom"]
    rows = []
    for named, group in pairs.groups(out, keys):
        first = int(group["sequence_length"].min())
        fits = pairs.at(frame[frame["status"] == "done"], named)["sequence_length"].max()
        if math.isnan(fits) or fits <= first:
            rows.append({**named, "sequence_length": first})
    return pd.DataFrame(rows, columns=[*keys, "sequence_length"])
