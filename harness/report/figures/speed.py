"""How time grows with the sequence, beside theory, and how far from the floor it is."""

from __future__ import annotations

import pandas as pd

from harness.report import captions, pairs, theory
from harness.report.figures import lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.scene import Scene
from harness.report.metrics import BY_KEY
from harness.report.sentences import listed
from harness.report.units import RATIO

_DOTS = (1.0, 2.0)


def draw(frame: pd.DataFrame, on: Scene) -> list[Drawing | None]:
    """Return the figures of speed, the ratio to the baseline first."""
    return [
        _ratio(frame, on),
        _metric(frame, on, "seconds_per_step", "How long does one step take?", _STEP),
        _metric(frame, on, "seconds_per_sequence", "How long does a whole sequence take?", _WHOLE),
        _metric(frame, on, "floor_ratio", "How far is it from the bare matrix products?", _FLOOR),
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
    beside = theory.ratios(frame)
    for ax, panel in zip(figure.axes, on.panels(table), strict=True):
        here = panel.of(beside)
        for key, dashes in (("work_ratio", ()), ("depth_ratio", _DOTS)):
            lines.thin(ax, here.rename(columns={key: "estimate"}), on, dashes)
    caption = (
        f"Time against {base}, below 1 is faster. Ratios are formed inside blocks, then summarised"
        f" (Hodges-Lehmann); {captions.intervals(table)}. Thin, theory over that of {base}: whole"
        " lines for the work, dotted ones for the steps in sequence." + on.remark()
    )
    title = f"Which is faster than {base}, and where do they cross?"
    keys = [*pairs.POINT, "implementation"]
    table = table.merge(beside[[*keys, "work_ratio", "depth_ratio"]], on=keys, how="left")
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
