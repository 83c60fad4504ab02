"""How deep a truncation has to be: the bias of the gradient cut after every number of lags."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from harness.report import pairs
from harness.report.figures import canvas
from harness.report.figures.canvas import Drawing
from harness.report.figures.palette import INK, MUTED
from harness.report.figures.scene import Scene
from harness.report.sentences import listed
from harness.report.units import PLAIN
from harness.trial import Record

FLOOR = 1e-6  # of the gradient; below, no truncation is worth the depth
SMALL = 0.1  # the bias that the sentence names a depth for
COLUMNS = [*pairs.POINT, "lags", "relative_error"]


def draw(frame: pd.DataFrame, records: Sequence[Record], on: Scene) -> list[Drawing | None]:
    """Return the one figure: relative error against the lags that a truncation keeps."""
    table = curves(frame, records)
    shown = [setting for setting in on.settings if len(pairs.at(table, setting))]
    if not shown:
        return []
    lengths = [int(pairs.at(table, setting)["sequence_length"].max()) for setting in shown]
    names = [on.panel_title(setting) for setting in shown]
    titles = [f"{name} · T={length:,}" for name, length in zip(names, lengths, strict=True)]
    figure, axes = canvas.panels(titles, 0)
    for ax, setting in zip(axes, shown, strict=True):
        _panel(ax, pairs.at(table, setting))
    caption = (
        "Distance to the exact gradient, in lengths of it, when nothing travels back further than"
        " so many steps; from the oracle, at fresh parameters. The grey line is one tenth."
        + on.remark()
    )
    title = "How deep must a truncation be?"
    return [
        Drawing("truncation-bias", "stability", title, caption, _said(table, on), figure, table)
    ]


def curves(frame: pd.DataFrame, records: Sequence[Record]) -> pd.DataFrame:
    """Return the curve of each setting at its longest length that has one: the median of blocks."""
    known = frame[(frame["measurement"] == "gradients") & (frame["status"] == "done")]
    known = known.loc[[i for i in known.index if records[int(i)].values.get("truncation_bias")]]
    rows = []
    for named, group in pairs.groups(known, pairs.SETTING):
        longest = pairs.longest(group)
        for index in longest.index:
            curve = records[int(index)].values["truncation_bias"]
            point = {**named, "sequence_length": int(longest["sequence_length"].iloc[0])}
            pairs_of = zip(curve["lags"], curve["relative_error"], strict=True)
            rows += [{**point, "lags": lag, "relative_error": error} for lag, error in pairs_of]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"lags": float, "relative_error": float})
    medians: pd.DataFrame = table.groupby(COLUMNS[:-1], as_index=False).median()
    return medians


def _panel(ax: Axes, table: pd.DataFrame) -> None:
    kept = table[table["relative_error"] > FLOOR].sort_values("lags")
    ax.axhline(SMALL, color=MUTED.light, linewidth=0.9)
    ax.plot(kept["lags"], kept["relative_error"], color=INK.light, linewidth=1.3, marker=".")
    canvas.value_axis(ax, [SMALL, *kept["relative_error"]], PLAIN, "relative error")
    lags = [2**power for power in range(int(table["lags"].max()).bit_length())]
    canvas.length_axis(ax, lags)
    ax.set_xlim(0.9, float(table["lags"].max()) * 1.25)
    ax.set_xlabel("lags kept")


def _said(table: pd.DataFrame, on: Scene) -> str:
    """Return the least depth at which the bias is under a tenth, for every setting."""
    found = []
    for setting in on.settings:
        small = pairs.at(table, setting)
        small = small[small["relative_error"] <= SMALL]
        if len(small):
            found.append(f"{small['lags'].min():,.0f} ({on.panel_title(setting)})")
    return f"So many lags leave a bias under one tenth: {listed(found)}." if found else ""
