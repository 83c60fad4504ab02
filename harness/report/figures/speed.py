"""How time grows with the sequence, how far from the floor it is, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.report import captions, pairs
from harness.report.figures import canvas, lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.lines import Scene
from harness.report.figures.palette import INK, MUTED, SERIES
from harness.report.metrics import BY_KEY, PHASES
from harness.report.sentences import listed
from harness.report.tables import references
from harness.report.units import RATIO, SECONDS, SHARE

BARS = 3  # lengths whose phases are shown: the shortest, a middle one, the longest
CELLS = 2  # rows of phase panels


def draw(frame: pd.DataFrame, on: Scene) -> list[Drawing | None]:
    """Return the figures of speed, the ratio to the baseline first."""
    return [
        _ratio(frame, on),
        _metric(frame, on, "seconds_per_step", "How long does one step take?", _STEP),
        _metric(frame, on, "seconds_per_sequence", "How long does a whole sequence take?", _WHOLE),
        _metric(frame, on, "floor_ratio", "How far is it from the bare matrix products?", _FLOOR),
        _phases(frame, on),
    ]


_STEP = (
    "Time per sequence over T by B. A flat line grows in proportion to T; what falls is overhead"
    " being spread over more steps."
)
_WHOLE = "A sequence is a batch of B, one update or one per window."
_FLOOR = (
    "1 would be the same matrix products with nothing around them, timed in the same trial. The"
    " distance is what a better implementation could still win."
)


def _ratio(frame: pd.DataFrame, on: Scene) -> Drawing | None:
    table = pairs.ratios(frame, "seconds_per_sequence")
    base = listed(on.baselines) if on.baselines else ""
    figure = lines.over_length(table, RATIO, "time / baseline", on, reference=base)
    if figure is None:
        return None
    caption = (
        f"Time against {base}, below 1 is faster. Ratios are formed inside blocks, then summarised"
        f" (Hodges-Lehmann); {captions.intervals(table)}." + on.remark()
    )
    title = f"Which is faster than {base}, and where do they cross?"
    found = lines.levels(table, RATIO, on)
    return Drawing("time-ratio", "speed", title, caption, found, figure, table)


def _metric(frame: pd.DataFrame, on: Scene, key: str, title: str, caption: str) -> Drawing | None:
    table = pairs.estimates(frame, key)
    metric = BY_KEY[key]
    figure = lines.over_length(table, metric.unit, metric.label, on)
    if figure is None:
        return None
    found = lines.levels(table, metric.unit, on)
    name = key.replace("_", "-")
    caption += f" Medians over blocks; {captions.intervals(table)}." + on.remark()
    return Drawing(name, "speed", title, caption, found, figure, table)


def _phases(frame: pd.DataFrame, on: Scene) -> Drawing | None:
    """Draw forward, backward, clip and optimizer as stacked bars, a row of panels a cell."""
    names = [f"{phase}_seconds" for phase in PHASES]
    known = frame[(frame["status"] == "done") & (frame["replica"] == 0)]
    known = known[known[names].notna().any(axis=1)]
    places = [_setting(point) for point in references(known)][:CELLS] if len(known) else []
    if not places:
        return None
    steps = known["sequence_length"] * known["batch_size"]
    per_step = known.assign(**{name: known[name] / steps for name in names})
    keys = [*pairs.POINT, "implementation"]
    every = per_step.groupby(keys, as_index=False)[names].median()
    table = pd.concat([pairs.at(every, place) for place in places])
    lengths = _three(sorted({int(length) for length in table["sequence_length"]}))
    shown = [name for name in on.series if name in set(table["implementation"])]
    titles = [f"{on.panel_title(place)} · T={length:,}" for place in places for length in lengths]
    left = 0.25 + 0.062 * max(len(name) for name in shown)
    figure, axes = canvas.panels(titles, 1, columns=len(lengths), left=left)
    for place, ax in enumerate(axes):
        row, column = divmod(place, len(lengths))
        here = pairs.at(table, {**places[row], "sequence_length": lengths[column]})
        widest = pairs.at(table, places[row])[names].sum(axis=1).max()
        _bars(ax, here, shown, column == 0)
        ax.set_xlim(0, widest * 1.3)
    handles = [Patch(color=colour.light) for colour in SERIES[: len(PHASES)]]
    canvas.legend(figure, handles, list(PHASES), len(PHASES))
    caption = (
        "Time per step, by phase, from a short run of its own, so that splitting costs the"
        " timings above nothing. One scale a row."
    )
    where = listed([on.panel_title(place) for place in places])
    settings = len(pairs.settings(every))
    if settings > len(places):
        caption += f" Only {where}, of {settings} settings; the CSV of every trial has all."
    title = "How is the time of one step split?"
    return Drawing("phases", "phases", title, caption, _share(table, shown, where), figure, table)


def _bars(ax: Axes, here: pd.DataFrame, shown: Sequence[str], named: bool) -> None:
    rows = here.set_index("implementation").reindex(list(shown))
    start = pd.Series(0.0, index=rows.index)
    for phase, colour in zip(PHASES, SERIES, strict=False):
        width = rows[f"{phase}_seconds"].fillna(0.0)
        ax.barh(range(len(shown)), width, left=start, height=0.62, color=colour.light)
        start = start + width
    for place, total in enumerate(start):
        if total > 0:
            text = SECONDS.text(total)
            ax.annotate(text, (total, place), (3, 0), textcoords="offset points", va="center")
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_yticks(range(len(shown)), list(shown) if named else [""] * len(shown))
    ax.tick_params(axis="y", labelcolor=INK.light, length=0)
    ax.grid(visible=False)
    ax.spines["left"].set_color(MUTED.light)
    ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: SECONDS.tick(value) if value else "0")
    )
    ax.set_xlabel("time per step")


def _share(table: pd.DataFrame, shown: Sequence[str], where: str) -> str:
    """Return what share of its time each implementation spends backward there, in words."""
    totals = table.groupby("implementation")[[f"{phase}_seconds" for phase in PHASES]].sum()
    backward = totals["backward_seconds"] / totals.sum(axis=1)
    seen = [f"{name} {SHARE.text(backward[name])}" for name in shown if name in backward]
    return f"Share of the time spent backward, over {where}: {', '.join(seen)}."


def _setting(point: dict[str, Any]) -> dict[str, Any]:
    return {name: point[name] for name in pairs.SETTING}


def _three(lengths: list[int]) -> list[int]:
    if len(lengths) <= BARS:
        return lengths
    return [lengths[0], lengths[len(lengths) // 2], lengths[-1]]
