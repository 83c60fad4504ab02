"""Which directions of the state grow from step to step and which die out: Lyapunov exponents."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from harness.report import pairs
from harness.report.figures import canvas
from harness.report.figures.canvas import Drawing
from harness.report.figures.palette import INK, MUTED
from harness.report.figures.scene import Scene
from harness.report.figures.stability import of_the_model
from harness.report.sentences import listed
from harness.report.units import COUNT, PLAIN
from harness.trial import Record

COLUMNS = [*pairs.POINT, "place", "median", "lower", "upper"]


def draw(frame: pd.DataFrame, records: Sequence[Record], on: Scene) -> list[Drawing | None]:
    """Return the one figure, where exponents were asked for: their values in falling order."""
    known = frame[frame["lyapunov_exponents"].notna() & (frame["status"] == "done")]
    table = exponents(known, records)
    shown = [setting for setting in on.settings if len(pairs.at(table, setting).dropna())]
    if not shown:
        return []
    lengths = [int(pairs.at(table, setting)["sequence_length"].max()) for setting in shown]
    names = [on.panel_title(setting) for setting in shown]
    titles = [f"{name} · T={length:,}" for name, length in zip(names, lengths, strict=True)]
    figure, axes = canvas.panels(titles, 0)
    for ax, setting in zip(axes, shown, strict=True):
        _panel(ax, pairs.at(table, setting).dropna())
    caption = (
        "Lyapunov exponents at fresh parameters, the largest first: by how many nats a step two"
        " states drift apart in each of so many directions at right angles; median over the batch,"
        " quartiles. Above the line a direction grows, and gradients along it explode. Of one"
        " sequence, all of them together sum to the mean of ln |det J|." + on.remark()
    )
    title = "In which directions do states drift apart?"
    found = _said(known, on)
    return [Drawing("lyapunov-spectrum", "stability", title, caption, found, figure, table)]


def exponents(known: pd.DataFrame, records: Sequence[Record]) -> pd.DataFrame:
    """Return the exponents of every setting, at the longest length measured: medians of blocks.

    One that was not finite is a missing number in its place.
    """
    rows = []
    for point, indices in of_the_model(known):
        for index in indices:
            spectrum = records[index].values["lyapunov_spectrum"]
            levels = zip(*(spectrum[name] for name in COLUMNS[-3:]), strict=True)
            for place, values in enumerate(levels, 1):
                rows.append(
                    {**point, "place": place, **dict(zip(COLUMNS[-3:], values, strict=True))}
                )
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[-3:], float))
    medians: pd.DataFrame = table.groupby(COLUMNS[:-3], as_index=False).median()
    return medians


def _panel(ax: Axes, table: pd.DataFrame) -> None:
    kept = table.sort_values("place")
    ax.fill_between(
        kept["place"], kept["lower"], kept["upper"], color=INK.light, alpha=0.14, linewidth=0
    )
    ax.axhline(0.0, color=MUTED.light, linewidth=0.9)
    ax.plot(kept["place"], kept["median"], color=INK.light, linewidth=1.3, marker=".")
    canvas.value_axis(ax, [0.0, *kept["lower"], *kept["upper"]], PLAIN, "exponent, nats a step")
    canvas.count_axis(ax, "place of the exponent")


def _said(known: pd.DataFrame, on: Scene) -> str:
    """Return how many directions grow in every setting, as the table of gradients counts them."""
    found = []
    for setting in on.settings:
        for _, indices in of_the_model(pairs.at(known, setting)):
            middle = known.loc[indices, ["positive_exponents", "lyapunov_exponents"]].median()
            growing, measured = (COUNT.text(count) for count in middle)
            found.append(f"{growing} of {measured} ({on.panel_title(setting)})")
    return f"So many directions grow: {listed(found)}."
