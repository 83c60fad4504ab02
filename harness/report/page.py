"""One HTML page that opens offline: no request to anywhere, nothing of a user's text run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.report import again, content, pairs, themed, trials
from harness.report.columns import Column, Table
from harness.report.figures.canvas import Drawing
from harness.report.figures.palette import COLOURS, styles
from harness.report.kinds import MEANINGS
from harness.report.sentences import BLOCKS_FOR_A_VERDICT
from harness.report.units import MISSING, number

HERE = Path(__file__).parent
# Shown at once; the others behind a disclosure.
OPEN_TABLES = ("answer", "noise", "copies", "failures", "estimate")
MOST_NUMBERS = 60  # rows of a figure's numbers on the page; the CSV has all
LONG = ("reason", "what to do", "note", "example", "flags")
WORDS = (
    ("sequence, step", "A sequence is one batch of B sequences of T steps. A time per step is the"
     " time of a sequence over T by B."),
    ("baseline, ratio", "The implementation that ratios are against; below 1 is less time, or less"
     " memory, than the baseline takes. Where a block holds its A/A copy too, the ratio is to the"
     " geometric mean of both."),
    ("exponent of T", "Time grows as T to this power over the lengths measured; 1 is in"
     " proportion."),
    ("block", "One repetition of the whole comparison, every implementation once, in random order"
     " and fresh processes. Ratios are formed inside a block, so what slows a block down cancels."),
    ("[low, high]", "The interval that holds the truth 95 times in 100, from"
     f" {BLOCKS_FOR_A_VERDICT} blocks on. From fewer it is the range seen, and less sure."),
    ("verdict", "Faster or slower: the whole interval lies further from equal than the margin, 1 %"
     " or the node's A/A band, whichever is larger. Equivalent: it lies within the margin."
     " Inconclusive: neither, more blocks would help."),
    ("floor", "The matrix products of the same sequence with nothing around them, timed in the same"
     " trial: about the least that an exact gradient, step by step, could take."),
    ("kept for backward", "Bytes held when a backward pass begins; what truncation and"
     " checkpointing shrink."),
    ("gradient cosine", "Whether the gradient points where the exact one points: 1 the same way, 0"
     " at a right angle, below 0 uphill."),
    ("agrees", "The method gives what its own definition says, to rounding. A truncated method may"
     " be far from the exact gradient and agree; one that disagrees has a bug."),
    ("kind", "; ".join(f"{kind}: {said}" for kind, said in MEANINGS.items() if kind) + ". By"
     " what a method claims of its gradient; of all cells and lengths the weakest claim."),
    ("reach, lag", "How many steps back a method lets the gradient travel, and how many it has."),
    ("Lyapunov exponent", "By how many nats a step two states that differ a little drift apart, in"
     " the direction that grows most; there is one for every number of the state. Above 0"
     " gradients explode in the long run, below they vanish."),
    ("norm after / before the cut", "What a clip left of the gradient's norm, where it cut: the"
     " median over updates, or for a clip of hidden gradients over steps."),
    ("diverged, solved", "The share of trainings whose numbers were no longer finite, and of those"
     " whose held-out score came as far as the task asks."),
    ("trivial predictor", "The best score that needs no learning. What does not beat it has learned"
     " nothing, whatever its loss did."),
)  # fmt: skip


_UNLESS_LIGHT = ":root:not([data-theme=light])"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table on the page."""

    text: str
    kind: str  # its CSS class
    swatch: str  # the colour that its series wears in the figures


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table on the page, below its group's name where it is the group's first."""

    group: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers behind a figure."""

    columns: tuple[str, ...]
    numeric: frozenset[str]
    rows: tuple[tuple[str, ...], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Trials:
    """The table of every trial as far as the page itself holds it."""

    fields: tuple[trials.Field, ...]
    rows: tuple[tuple[str, ...], ...]


def render(report: content.Content, svgs: dict[str, str]) -> str:
    """Return the page; `svgs` holds each figure's SVG by its key."""
    drawings = tuple(content.every_drawing(report))
    marked, rules = themed.inline([(svgs[one.key], one.finding or one.title) for one in drawings])
    style, script = _style(rules), (HERE / "page.js").read_text("utf-8")
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    every = Trials(
        tuple(trials.fields(report.frame)), tuple(map(tuple, trials.first_rows(report.frame)))
    )
    return environment.get_template("page.html").render(
        content=report,
        policy=_policy(style, script),
        style=Markup(style),  # our own file and palette
        script=Markup(script),  # our own file
        data=Markup(trials.as_json(report.frame)),  # holds no "<"
        svg={one.key: mark for one, mark in zip(drawings, marked, strict=True)},
        cells=partial(_lines, swatches=_swatches(report.frame)),
        numbers_of=partial(_numbers, telling=pairs.varying(report.frame)),
        open_tables=OPEN_TABLES,
        trials=every,
        words=WORDS,
        again=again,
    )


def _style(rules: str) -> str:
    light, dark = themed.palette(dark=False), themed.palette(dark=True)
    swatches = "".join(f'td i[data-c="{c.name}"]{{background:var(--{c.name})}}' for c in COLOURS)
    dark = f"color-scheme:dark;{dark}"
    return "\n".join(
        [
            (HERE / "page.css").read_text("utf-8"),
            f":root{{{light}}}",
            f"@media screen and (prefers-color-scheme:dark){{{_UNLESS_LIGHT}{{{dark}}}}}",
            f"@media screen{{:root[data-theme=dark]{{{dark}}}}}",
            swatches,
            rules,
        ]
    )


def _policy(style: str, script: str) -> str:
    """Return a policy that allows this style and this script, and no request at all."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}';"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )


def _swatches(frame: pd.DataFrame) -> dict[str, str]:
    baselines = sorted(set(frame.loc[frame["baseline"], "implementation"]))
    worn = styles(pairs.series_order(frame), baselines, pairs.kind_of(frame))
    names = {colour.light: colour.name for colour in COLOURS}
    return {series: names[style.colour] for series, style in worn.items()}


def _lines(table: Table, swatches: dict[str, str]) -> Iterator[Line]:
    """Yield the rows; the first of a group carries the group's name."""
    before = ""
    names = [column.heading for column in table.columns[: table.leading]]
    rest = table.columns[table.leading :]
    for row in table.shown().itertuples(index=False):
        texts = [str(text) for text in row]
        group = " · ".join(map(_named, names, texts))
        cells = tuple(
            Cell(text, _kind(column, text), _swatch(column, text, swatches))
            for text, column in zip(texts[table.leading :], rest, strict=True)
        )
        yield Line(group if group != before else "", cells)
        before = group


def _named(heading: str, text: str) -> str:
    """Return "T = 256", or the value alone where it says what it is."""
    if heading in pairs.SYMBOLS.values():
        return f"{heading} = {text}"
    return text if heading in pairs.SELF_EVIDENT else f"{heading} {text}"


def _swatch(column: Column, text: str, swatches: dict[str, str]) -> str:
    return swatches.get(text, "") if column.heading == "implementation" else ""


def _kind(column: Column, text: str) -> str:
    kinds = ["n"] if column.numeric else []
    kinds += ["key"] if column.heading in ("implementation", "verdict") else []
    kinds += ["long"] if column.heading in LONG else []
    kinds += ["bad"] if "DISAGREES" in text or text.endswith(" !") else []
    return " ".join(kinds)


def _numbers(drawing: Drawing, telling: list[str]) -> Numbers:
    data = drawing.data.drop(
        columns=[name for name in pairs.SETTING if name not in telling], errors="ignore"
    )
    shown = data.head(MOST_NUMBERS)
    numeric = frozenset(
        str(name) for name in data.columns if pd.api.types.is_numeric_dtype(data[name])
    )
    rows = tuple(tuple(_plain(value) for value in row) for row in shown.itertuples(index=False))
    return Numbers(tuple(map(str, data.columns)), numeric, rows, len(data) - len(shown))


def _plain(value: object) -> str:
    if isinstance(value, float):
        return number(value, 4) if value == value else MISSING
    return str(value)
