"""Which one still learns: scores, losses and gradient norms while training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report import captions, pairs
from harness.report.figures import canvas, curves
from harness.report.figures.canvas import Drawing
from harness.report.figures.curves import CURVE, Note
from harness.report.figures.scene import Scene
from harness.report.metrics import BY_KEY
from harness.report.sentences import listed
from harness.report.units import PLAIN, Unit
from harness.trial import Record

TRIVIAL = Note("trivial predictor", (5.0, 2.0))
SOLVED = Note("solved", (1.5, 1.5))
PASSED = Note("what the clip lets through", (1.5, 1.5))
TRAINED = ("done", "nonfinite")  # up to where it broke, a broken run says something too


def draw(frame: pd.DataFrame, records: Sequence[Record], on: Scene) -> list[Drawing | None]:
    """Return the figures of training, at the longest length that each setting was trained on."""
    known = frame[(frame["measurement"] == "training") & (frame["status"].isin(TRAINED))]
    return [_norms(known, records, on), _score(known, records, on), _loss(known, records, on)]


def _score(known: pd.DataFrame, records: Sequence[Record], on: Scene) -> Drawing | None:
    table = curves.table(known, records, "evaluated_at", "score")
    figure = scores(table, known, on, "sequences trained on")
    if figure is None:
        return None
    caption = (
        "Score on held-out batches, the median over blocks with its range. The dashed line is the"
        " best predictor that learns nothing: a curve that stays there has learned nothing."
    )
    found = captions.learned(known, on.series)
    caption += captions.updates(known, on.series)
    title = "Does it beat the predictor that learns nothing?"
    return Drawing("score", "learning", title, caption + on.remark(), found, figure, table)


def scores(
    table: pd.DataFrame, known: pd.DataFrame, on: Scene, label: str, unit: Unit | None = None
) -> Figure | None:
    """Return the figure of scores against `label`, of `unit` or counted, with what is trivial."""
    drawn = curves.figure(table, on, label, [TRIVIAL, SOLVED])
    if drawn is None:
        return None
    figure, shown = drawn
    seen = set()
    for ax, panel in zip(figure.axes, shown, strict=True):
        mine = panel.of(table)
        curves.bands(ax, mine, on)
        here = pairs.longest(panel.of(known))
        _scale(ax, mine, list(here["trivial_score"].dropna()), _name(here))
        if unit is not None:
            canvas.cost_axis(ax, list(mine["x"]), unit, label)
        curves.name_ends(ax, mine, on)
        low, high = sorted(ax.get_ylim())
        for note, level in ((TRIVIAL, "trivial_score"), (SOLVED, "solved_score")):
            if low <= here[level].median() <= high and note.draw(ax, here[level].median()):
                seen.add(note)
    curves.legend(figure, table, on, [note for note in (TRIVIAL, SOLVED) if note in seen])
    return figure


def _loss(known: pd.DataFrame, records: Sequence[Record], on: Scene) -> Drawing | None:
    table = curves.table(known, records, "sequence", "loss")
    drawn = curves.figure(table, on, "sequences trained on")
    if drawn is None:
        return None
    figure, shown = drawn
    for ax, panel in zip(figure.axes, shown, strict=True):
        curves.bands(ax, panel.of(table), on)
        _scale(ax, panel.of(table), [], "training loss")
        curves.name_ends(ax, panel.of(table), on)
    curves.legend(figure, table, on)
    caption = "Training loss, one batch a point: the median over blocks, with its range as a band."
    found = _ends(table, on)
    caption += captions.updates(known, on.series)
    title = "How does the loss fall?"
    return Drawing("loss", "learning", title, caption + on.remark(), found, figure, table)


def _norms(known: pd.DataFrame, records: Sequence[Record], on: Scene) -> Drawing | None:
    """Draw the norm before the clip, and fainter after it, for what is clipped and the baseline."""
    clipped = known[(known["clips"] != "") | known["baseline"]]
    chosen = clipped if (known["clips"] != "").any() else known
    before = curves.table(chosen, records, "update", "norm_before")
    after = curves.table(chosen[chosen["clips"] != ""], records, "update", "norm_after")
    drawn = curves.figure(before, on, "update", [PASSED])
    if drawn is None:
        return None
    figure, shown = drawn
    bounds = 0
    for ax, panel in zip(figure.axes, shown, strict=True):
        cut = panel.of(after)
        for name, mine in cut.groupby("implementation"):
            colour = on.styles[str(name)].colour
            ax.plot(mine["x"], mine["estimate"], color=colour, linewidth=0.9, alpha=0.5)
            trained = pairs.longest(pairs.at(known, {**panel.setting, "implementation": name}))
            if (trained["clipped_share"] > 0).any():  # else its longest is no bound
                bounds += replace(PASSED, colour=colour).draw(ax, float(mine["high"].max()))
        norms = [*panel.of(before)["estimate"], *cut["estimate"]]
        canvas.value_axis(ax, norms, PLAIN, "gradient norm")
        curves.name_ends(ax, panel.of(before), on)
    curves.legend(figure, before, on, [PASSED] if bounds else [])
    caption = (
        "Norm of the gradient at each update before the clip, the median over blocks; fainter, what"
        " the clip left."
    )
    if bounds:
        caption += " Dotted, the longest that it let through, where it cut anything."
    found = _cuts(known[known["clips"] != ""])
    title = "How long is the gradient while training, and what does the clip cut?"
    data = before.merge(after, on=CURVE, how="left", suffixes=("", "_after_clip"))
    return Drawing("gradient-norm", "stability", title, caption + on.remark(), found, figure, data)


def _cuts(clipped: pd.DataFrame) -> str:
    """Return in words how many updates each implementation clips, and what that leaves of them."""
    share, ratio = BY_KEY["clipped_share"], BY_KEY["clipped_norm_ratio"]
    seen = []
    medians = clipped.groupby("implementation")[[share.key, ratio.key]].median()
    for name, row in medians.iterrows():
        left = row[ratio.key]
        to = f" to {ratio.text(left)} of their norm" if math.isfinite(left) else ""
        seen.append(f"{name} clips {share.text(row[share.key])} of updates{to}")
    return f"Over all trials: {', '.join(seen)}." if seen else "No implementation clips."


def _scale(ax: Axes, table: pd.DataFrame, others: list[float], label: str) -> None:
    canvas.value_axis(ax, [*table["low"], *table["high"], *others], PLAIN, label)


def _name(here: pd.DataFrame) -> str:
    names = here["score_name"].dropna()
    return str(names.iloc[0]) if len(names) else "score"


def _ends(table: pd.DataFrame, on: Scene) -> str:
    """Return in words from which to which loss each panel's curves end."""
    last = table.sort_values("x").groupby([*pairs.POINT, "implementation"], as_index=False).last()
    seen = [
        f"{PLAIN.span(here['estimate'])} ({on.panel_title(setting)})"
        for setting in on.settings
        if len(here := pairs.at(last, setting))
    ]
    return f"At the end of training at the longest T the loss is {listed(seen)}."
