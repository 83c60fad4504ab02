"""What fits: peak memory against the sequence length, beside theory, and where it ran out."""

from __future__ import annotations

import math

import pandas as pd

from harness.report import pairs
from harness.report.figures import lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.lines import Scene
from harness.report.figures.palette import MUTED
from harness.report.units import BYTES


def draw(frame: pd.DataFrame, on: Scene) -> list[Drawing | None]:
    """Return the figure of memory."""
    table = pairs.estimates(frame, "peak_bytes")
    theory = pairs.estimates(frame, "theory_peak_bytes")
    beside = list(theory["estimate"])
    figure = lines.over_length(table, BYTES, "peak memory", on, beside=beside)
    if figure is None:
        return [None]
    out = _first_oom(frame)
    shown = [setting for setting in on.settings if len(pairs.at(table, setting))]
    for ax, setting in zip(figure.axes, shown, strict=True):
        for name, mine in pairs.at(theory, setting).groupby("implementation"):
            drawn = mine.sort_values("sequence_length")
            colour = on.styles[str(name)].colour
            x, y = drawn["sequence_length"], drawn["estimate"]
            ax.plot(x, y, color=colour, linewidth=0.6, alpha=0.7, zorder=1.6)
        mine = pairs.at(out, setting).sort_values("sequence_length")
        for place, row in enumerate(mine.to_dict("records")):
            style = on.styles[row["implementation"]]
            height = 0.97 - 0.09 * place
            lines.cross(ax, row["sequence_length"], style, height)
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
        if len(mine):
            low, high = ax.get_xlim()
            ax.set_xlim(low, max(high, float(mine["sequence_length"].max()) * 1.25))
    caption = (
        "All live tensor bytes at the peak, parameters and batch included. Thin lines: static +"
        " batch + what theory says is kept for the backward pass. A cross: the first length that"
        " ran out of memory." + on.remark()
    )
    data = table.merge(
        theory[[*pairs.POINT, "implementation", "estimate"]].rename(
            columns={"estimate": "theory_peak_bytes"}
        ),
        on=[*pairs.POINT, "implementation"],
        how="left",
    )
    found = lines.levels(table, BYTES, on)
    return [
        Drawing(
            "peak-memory",
            "memory",
            "How does peak memory grow with the sequence?",
            caption,
            found,
            figure,
            data,
        )
    ]


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
