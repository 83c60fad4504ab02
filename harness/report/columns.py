"""One table, twice: base units for the CSV, text with units for the reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report.metrics import BY_KEY
from harness.report.pairs import SYMBOLS
from harness.report.units import MISSING, Unit

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and what a reader sees under it for one row of the numbers."""

    heading: str
    text: Callable[[Row], str]
    numeric: bool = True  # aligned to the right


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its question, its numbers in base units, and its text."""

    key: str
    title: str
    note: str
    data: pd.DataFrame
    columns: tuple[Column, ...]
    leading: int = 0  # so many first columns name a group of rows; the page lifts them out

    def shown(self) -> pd.DataFrame:
        """Return the table as text, every cell with its unit."""
        rows = [{str(name): value for name, value in row.items()} for row in self._rows()]
        return pd.DataFrame(
            [[column.text(row) for column in self.columns] for row in rows],
            columns=[column.heading for column in self.columns],
            dtype="object",
        )

    def _rows(self) -> list[dict[Any, Any]]:
        return self.data.to_dict("records")


def word(key: str, heading: str = "") -> Column:
    """Return a column of text, missing where there is none."""

    def text(row: Row) -> str:
        return MISSING if is_missing(row[key]) else str(row[key])

    return Column(heading or key.replace("_", " "), text, numeric=False)


def size(key: str) -> Column:
    """Return a column of one of the sweep's axes, under its letter where it has one."""

    def text(row: Row) -> str:
        value = row[key]
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"

    return Column(SYMBOLS.get(key, key.replace("_", " ")), text)


def metric(key: str, heading: str = "") -> Column:
    """Return a column of a metric in its own unit."""
    known = BY_KEY[key]
    return Column(heading or known.label, lambda row: known.text(row[key]))


def ranged(key: str, heading: str, unit: Unit) -> Column:
    """Return a column "estimate [low, high]" of `key`, `key_low` and `key_high`."""

    def text(row: Row) -> str:
        return unit.interval(row[key], row[f"{key}_low"], row[f"{key}_high"])

    return Column(heading, text)


def axes(named: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns that say where a row was measured."""
    numeric = {"sequence_length", "hidden_size", "batch_size", "threads", "learning_rate"}
    return tuple(size(name) if name in numeric else word(name) for name in named)


def is_missing(value: object) -> bool:
    """Return whether a cell holds nothing: None, NaN or the empty string."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
