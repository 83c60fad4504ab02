"""How far back the gradient reaches, whether it explodes, and whether it points the right way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from harness.report import pairs
from harness.report.figures import canvas, lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.palette import INK, PAPER, VERDICT_TINTS
from harness.report.figures.scene import Scene
from harness.report.metrics import BY_KEY
from harness.report.sentences import listed
from harness.report.units import PLAIN
from harness.trial import Record

DECADES = 8  # of a lag profile; below, nothing is left to learn from
MAP_ROWS = 16
ROUNDING = 1e-12  # a smaller relative error is float64's own, and drawn at the bottom
_LEFT_OUT = " What is exact is not drawn."


def draw(frame: pd.DataFrame, records: Sequence[Record], on: Scene) -> list[Drawing | None]:
    """Return the figures of the gradient on frozen parameters."""
    direction = "1 points exactly where full BPTT in float64 points; 0 is a right angle."
    size = "1 is as long as the exact gradient; equal directions of unequal length still differ."
    return [
        _lags(frame, records, on),
        _error(frame, on),
        _over_length(frame, on, "cosine", "Does it point the right way?", direction),
        _over_length(frame, on, "norm_ratio", "Is it as long as the exact one?", size),
        _map(frame, on),
    ]


def _error(frame: pd.DataFrame, on: Scene) -> Drawing | None:
    """Return the one figure in which exact and nearly exact stand decades apart."""
    table = pairs.estimates(frame, "relative_error")
    ends = ["estimate", "low", "high"]
    table[ends] = table[ends].clip(lower=ROUNDING)
    shown = _inexact(table, frame, on)
    figure = lines.over_length(shown, PLAIN, BY_KEY["relative_error"].label, on)
    if figure is None:
        return None
    bottom = _LEFT_OUT if on.crowded else " On the bottom line only rounding is left;"
    caption = (
        "Distance to full BPTT in float64, in lengths of the exact gradient, before any clip."
        f"{bottom} 1 is as wrong as no gradient at all."
    )
    found = lines.levels(table, PLAIN, on).replace(PLAIN.text(ROUNDING), "exact but for rounding")
    title = "How far is it from the exact gradient?"
    return Drawing(
        "gradient-error", "stability", title, caption + on.remark(), found, figure, table
    )


def _over_length(
    frame: pd.DataFrame, on: Scene, key: str, title: str, caption: str
) -> Drawing | None:
    table = pairs.estimates(frame, key)
    metric = BY_KEY[key]
    figure = lines.over_length(_inexact(table, frame, on), metric.unit, metric.label, on)
    if figure is None:
        return None
    caption += _LEFT_OUT if on.crowded else ""
    name, found = key.replace("_", "-"), lines.levels(table, metric.unit, on)
    return Drawing(name, "stability", title, caption + on.remark(), found, figure, table)


def _inexact(table: pd.DataFrame, frame: pd.DataFrame, on: Scene) -> pd.DataFrame:
    """Return, of many series, the rows whose gradient is not exact there; of few all."""
    if not on.crowded:
        return table
    keys = [*pairs.POINT, "implementation"]
    errors = pairs.estimates(frame, "relative_error")
    return table.merge(errors.loc[errors["estimate"] > ROUNDING, keys], on=keys)


def of_the_model(known: pd.DataFrame) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Yield each setting's longest point, and which of its records tell what any would.

    One implementation's, the baseline's if it has any: such numbers belong to the model.
    """
    for named, group in pairs.groups(known, pairs.SETTING):
        longest = pairs.longest(group)
        ranked = longest.sort_values(["baseline", "implementation"], ascending=[False, True])
        mine = longest[longest["implementation"] == ranked["implementation"].iloc[0]]
        point = {**named, "sequence_length": int(longest["sequence_length"].iloc[0])}
        yield point, [int(index) for index in mine.index]


def profiles(frame: pd.DataFrame, records: Sequence[Record]) -> pd.DataFrame:
    """Return the lag profile of every setting, at the longest length it ran."""
    known = frame[(frame["measurement"] == "gradients") & (frame["status"] == "done")]
    rows = []
    for point, indices in of_the_model(known):
        for index in indices:
            profile = records[index].values.get("lag_profile") or {}
            rows += [
                {**point, "lag": lag, "median": middle, "lower": low, "upper": high}
                for lag, middle, low, high in zip(
                    *(profile.get(name) or () for name in ("lag", "median", "lower", "upper")),
                    strict=True,
                )
            ]
    columns = [*pairs.POINT, "lag", "median", "lower", "upper"]
    table = pd.DataFrame(rows, columns=columns).astype({name: float for name in columns[-4:]})
    medians: pd.DataFrame = table.groupby(columns[:-3], as_index=False).median()
    return medians


def _lags(frame: pd.DataFrame, records: Sequence[Record], on: Scene) -> Drawing | None:
    table = profiles(frame, records)
    table = table[(table["lag"] >= 1) & (table["median"] > 0)]
    shown = [setting for setting in on.settings if len(pairs.at(table, setting))]
    if not shown:
        return None
    biased = frame[frame["reach_steps"].notna() & (frame["claim"] != "exact")]
    reaches = biased.groupby("implementation")["reach_steps"].max()
    cut = {str(name): float(reach) for name, reach in reaches.items()}
    labels = ["median over the batch, quartiles"]
    labels += [f"{name}: cut after {reach:,.0f} steps" for name, reach in cut.items()]
    columns, rows = canvas.legend_shape(labels)
    longest = {
        pairs.describe(row, on.telling): int(pairs.at(table, row)["sequence_length"].max())
        for row in shown
    }
    figure, axes = canvas.panels(
        [f"{name} · T={length:,}" for name, length in longest.items()], rows
    )
    for ax, setting in zip(axes, shown, strict=True):
        _profile(ax, pairs.at(table, setting))
        for name, reach in cut.items():
            line = ax.axvline(reach, color=on.styles[name].colour, linewidth=1.4)
            line.set_dashes(on.styles[name].dashes or (4, 1.5))
    handles = [Line2D([], [], color=INK.light, linewidth=1.3)]
    handles += [lines.legend_key(on.styles[name], marker=False) for name in cut]
    canvas.legend(figure, handles, labels, columns)
    caption = (
        "Norm of dL/dh as it travels back from the step whose loss it is, against how many steps"
        " it has travelled. What lies right of a cut never reaches the parameters." + on.remark()
    )
    title = "How far back does the gradient reach?"
    return Drawing("lag-profile", "stability", title, caption, _horizons(frame, on), figure, table)


def _profile(ax: Axes, table: pd.DataFrame) -> None:
    top = float(table["median"].max())
    kept = table[table["median"] > top / 10**DECADES].sort_values("lag")
    lower = np.maximum(kept["lower"], top / 10**DECADES)
    ax.fill_between(kept["lag"], lower, kept["upper"], color=INK.light, alpha=0.14, linewidth=0)
    ax.plot(kept["lag"], kept["median"], color=INK.light, linewidth=1.3)
    canvas.value_axis(ax, [*kept["median"], *kept["upper"]], PLAIN, "norm of dL/dh")
    lags = [2.0**power for power in range(int(np.log2(max(table["lag"].max(), 2))) + 1)]
    canvas.length_axis(ax, [int(lag) for lag in lags])
    ax.set_xlim(0.9, float(table["lag"].max()) * 1.25)
    ax.set_xlabel("lag: steps travelled back")


def _horizons(frame: pd.DataFrame, on: Scene) -> str:
    known = frame[frame["horizon_90_steps"].notna()]
    steps = {
        on.panel_title(setting): pairs.longest(here)["horizon_90_steps"].median()
        for setting in on.settings
        if len(here := pairs.at(known, setting))
    }
    if not steps:
        return ""
    if len(set(steps.values())) == 1:
        return f"90 % of the gradient comes from the last {max(steps.values()):,.0f} steps."
    words = listed([f"{count:,.0f} ({name})" for name, count in steps.items()])
    return f"90 % of the gradient comes from so many last steps: {words}."


def _map(frame: pd.DataFrame, on: Scene) -> Drawing | None:
    known = frame[(frame["measurement"] == "gradients") & frame["verdict"].notna()]
    if known["baseline"].any():
        known = known[known["baseline"]]
    rows = [
        {
            **named,
            "verdict": group["verdict"].iloc[0] if group["verdict"].nunique() == 1 else "mixed",
        }
        for named, group in pairs.groups(known, pairs.POINT)
    ]
    if not rows:
        return None
    table = pd.DataFrame(rows)
    places = pairs.settings(table)[:MAP_ROWS]
    lengths = sorted({int(length) for length in table["sequence_length"]})
    names = [on.panel_title(place) for place in places]
    left = 0.3 + 0.06 * max(len(name) for name in names)
    figure, (ax,) = canvas.panels([""], 0, left=left, inside=0.3 * len(places))
    for y, place in enumerate(places):
        for row in pairs.at(table, place).to_dict("records"):
            _tile(ax, lengths.index(int(row["sequence_length"])), y, str(row["verdict"]))
    ax.set_xlim(-0.5, len(lengths) - 0.5)
    ax.set_ylim(len(places) - 0.5, -0.5)
    ax.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
    ax.set_yticks(range(len(places)), names)
    ax.tick_params(length=0, labelcolor=INK.light)
    ax.grid(visible=False)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_xlabel("sequence length T")
    counts = table["verdict"].value_counts().sort_index()
    found = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    caption = (
        "What becomes of dL/dh on its way back at fresh parameters; blocks that differ: mixed."
    )
    title = "Where does the gradient vanish or explode?"
    return Drawing(
        "stability-map",
        "stability",
        title,
        caption,
        f"Of {len(table)} points: {found}.",
        figure,
        table,
    )


def _tile(ax: Axes, x: int, y: int, verdict: str) -> None:
    tint = VERDICT_TINTS.get(verdict, VERDICT_TINTS["mixed"])
    ax.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=tint, edgecolor=PAPER.light))
    ax.text(x, y, verdict, ha="center", va="center", color=INK.light)
