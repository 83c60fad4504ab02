"""Which one still learns: scores, losses and gradient norms while training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report import pairs
from harness.report.figures import canvas, lines
from harness.report.figures.canvas import Drawing
from harness.report.figures.lines import Scene
from harness.report.figures.palette import Style
from harness.report.metrics import BY_KEY
from harness.report.sentences import listed
from harness.report.units import PLAIN
from harness.trial import Record

THICK, THIN = 2.4, 1.0  # points
SHADE = 0.3  # opacity of all ranges together
CURVE = [*pairs.POINT, "implementation", "x"]


def draw(frame: pd.DataFrame, records: Sequence[Record], on: Scene) -> list[Drawing | None]:
    """Return the figures of training, at the longest length that each setting was trained on."""
    known = frame[(frame["measurement"] == "training") & (frame["status"].isin(_TRAINED))]
    return [_norms(known, records, on), _score(known, records, on), _loss(known, records, on)]


_TRAINED = ("done", "nonfinite")  # up to where it broke, a broken run says something too


def curves(known: pd.DataFrame, records: Sequence[Record], x: str, y: str) -> pd.DataFrame:
    """Return a curve a series at each setting's longest length: median and range over blocks."""
    rows = []
    for row in pairs.longest(known)[[*pairs.POINT, "implementation"]].itertuples():
        point = dict(zip(CURVE, row[1:], strict=False))
        values = records[row[0]].values
        xs, ys = values.get(x) or (), values.get(y) or ()
        rows += [{**point, "x": at, "y": value} for at, value in zip(xs, ys, strict=False)]
    table = pd.DataFrame(rows, columns=[*CURVE, "y"]).astype({"x": float, "y": float})
    spread = table.dropna().groupby(CURVE, as_index=False)["y"]
    made: pd.DataFrame = spread.agg(["median", "min", "max"])
    return made.rename(columns={"median": "estimate", "min": "low", "max": "high"})


def _score(known: pd.DataFrame, records: Sequence[Record], on: Scene) -> Drawing | None:
    table = curves(known, records, "evaluated_at", "score")
    drawn = _figure(table, on, "sequences trained on")
    if drawn is None:
        return None
    figure, shown = drawn
    for ax, setting in zip(figure.axes, shown, strict=True):
        _bands(ax, pairs.at(table, setting), on)
        here = pairs.longest(pairs.at(known, setting))
        _scale(ax, pairs.at(table, setting), list(here["trivial_score"].dropna()), _name(here))
        lines.note_line(ax, here["trivial_score"].median(), "trivial predictor", (5.0, 2.0))
        low, high = sorted(ax.get_ylim())
        if low <= here["solved_score"].median() <= high:
            lines.note_line(ax, here["solved_score"].median(), "solved", (1.5, 1.5))
    caption = (
        "Score on held-out batches, the median over blocks with its range. The dashed line is the"
        " best predictor that learns nothing: a curve that stays there has learned nothing."
    )
    found = _best(known, on)
    title = "Does it beat the predictor that learns nothing?"
    return Drawing("score", "learning", title, caption + on.remark(), found, figure, table)


def _loss(known: pd.DataFrame, records: Sequence[Record], on: Scene) -> Drawing | None:
    table = curves(known, records, "sequence", "loss")
    drawn = _figure(table, on, "sequences trained on")
    if drawn is None:
        return None
    figure, shown = drawn
    for ax, setting in zip(figure.axes, shown, strict=True):
        _bands(ax, pairs.at(table, setting), on)
        _scale(ax, pairs.at(table, setting), [], "training loss")
    caption = "Training loss, one batch a point: the median over blocks, with its range as a band."
    found = _ends(table, on)
    title = "How does the loss fall?"
    return Drawing("loss", "learning", title, caption + on.remark(), found, figure, table)


def _norms(known: pd.DataFrame, records: Sequence[Record], on: Scene) -> Drawing | None:
    """Draw the norm before the clip, and dashed after it, for what is clipped and the baseline."""
    clipped = known[(known["clips"] != "") | known["baseline"]]
    chosen = clipped if (known["clips"] != "").any() else known
    before = curves(chosen, records, "update", "norm_before")
    after = curves(chosen[chosen["clips"] != ""], records, "update", "norm_after")
    drawn = _figure(before, on, "update")
    if drawn is None:
        return None
    figure, shown = drawn
    for ax, setting in zip(figure.axes, shown, strict=True):
        cut = pairs.at(after, setting)
        for name, mine in cut.groupby("implementation"):
            colour = on.styles[str(name)].colour
            ax.plot(mine["x"], mine["estimate"], color=colour, linewidth=0.9, alpha=0.5)
            lines.note_line(ax, float(mine["high"].max()), "largest after the clip")
        norms = [*pairs.at(before, setting)["estimate"], *cut["estimate"]]
        canvas.value_axis(ax, norms, PLAIN, "gradient norm")
    caption = (
        "Norm of the gradient at each update before the clip, the median over blocks; fainter, what"
        " the clip left; dotted, the largest that passed."
    )
    shares = known[known["clips"] != ""].groupby("implementation")["clipped_share"].median()
    metric = BY_KEY["clipped_share"]
    seen = ", ".join(
        f"{name} clips {metric.text(share)} of updates" for name, share in shares.items()
    )
    found = f"Over all trials: {seen}." if seen else "No implementation clips."
    title = "How long is the gradient while training, and what does the clip cut?"
    data = before.merge(after, on=CURVE, how="left", suffixes=("", "_after_clip"))
    return Drawing("gradient-norm", "stability", title, caption + on.remark(), found, figure, data)


def _figure(
    table: pd.DataFrame, on: Scene, x_label: str
) -> tuple[Figure, list[dict[str, Any]]] | None:
    shown = [setting for setting in on.settings if len(pairs.at(table, setting))]
    if not shown:
        return None
    names = [name for name in on.series if name in set(table["implementation"])]
    columns, rows = canvas.legend_shape(names)
    longest = [int(pairs.at(table, setting)["sequence_length"].max()) for setting in shown]
    titles = [f"{on.panel_title(row)} · T={t:,}" for row, t in zip(shown, longest, strict=True)]
    figure, axes = canvas.panels(titles, rows)
    for ax, setting in zip(axes, shown, strict=True):
        for place, name in enumerate(names):
            mine = pairs.at(table, {**setting, "implementation": name}).sort_values("x")
            _curve(ax, mine, on.styles[name], THICK - (THICK - THIN) * place / len(names))
        canvas.count_axis(ax, x_label)
    canvas.legend(
        figure, [lines.legend_key(on.styles[name], marker=False) for name in names], names, columns
    )
    return figure, shown


def _curve(ax: Axes, mine: pd.DataFrame, style: Style, width: float) -> None:
    """Draw a curve; the first are the thickest, so that equal ones show as a sheaf."""
    (line,) = ax.plot(mine["x"], mine["estimate"], color=style.colour, linewidth=width)
    if style.dashes:
        line.set_dashes(style.dashes)


def _bands(ax: Axes, table: pd.DataFrame, on: Scene) -> None:
    """Draw every series' range; together no darker than one may be."""
    names = table["implementation"].unique()
    for name in names:
        mine = table[table["implementation"] == name].sort_values("x")
        if (mine["high"] > mine["low"]).any():
            colour, alpha = on.styles[name].colour, SHADE / len(names)
            ends = (mine["x"], mine["low"], mine["high"])
            ax.fill_between(*ends, color=colour, alpha=alpha, linewidth=0)


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


def _best(known: pd.DataFrame, on: Scene) -> str:
    """Return in words how many of the trained points beat the trivial predictor."""
    scored = known[known["final_score"].notna() & known["trivial_score"].notna()]
    if scored.empty:
        return ""
    sign = scored["score_better"].map({"higher": 1.0, "lower": -1.0})
    learned = (sign * (scored["final_score"] - scored["trivial_score"]) > 0).sum()
    solved = (sign * (scored["final_score"] - scored["solved_score"]) >= 0).sum()
    return (
        f"{learned} of {len(scored)} training trials end better than the trivial predictor,"
        f" {solved} of them solve their task."
    )
