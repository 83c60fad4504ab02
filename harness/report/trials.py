"""Every trial as one table: what the page sorts and filters, and what its CSV holds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report import pairs
from harness.report.columns import Row, is_missing
from harness.report.metrics import BY_KEY
from harness.report.units import COUNT, MISSING, PLAIN, Unit

WITHOUT_SCRIPTS = 100  # rows that stand in the page itself
PRECISION = 5  # significant digits of a number; the page shows three or four of them


@dataclass(frozen=True, slots=True)
class Field:
    """One column: its key in the frame, its heading, the name a filter calls it by, its unit."""

    key: str
    heading: str
    alias: str
    unit: Unit | None  # None: text


def fields(frame: pd.DataFrame) -> list[Field]:
    """Return the columns worth a reader's width: what varies, and results that any trial has."""
    varying = pairs.varying(frame)
    plain = ["id", "status", "measurement", "implementation", "cell", "task"]
    plain += [name for name in _WORDS if name in varying]
    numbers = [name for name in _NUMBERS if name in varying]
    numbers += ["sequence_length", "block"]
    numbers += ["replica"] if frame["replica"].any() else []
    made = [Field(name, "trial" if name == "id" else name, name, None) for name in plain]
    units = {"learning_rate": PLAIN}
    made += [Field(n, _symbol(n), _symbol(n), units.get(n, COUNT)) for n in numbers]
    rest = [_result("seconds_per_sequence", "time"), _result("peak_bytes", "memory")]
    rest += [_result("cosine", "cosine"), _result("final_score", "score")]
    rest += [Field("reason", "reason", "reason", None)]
    return [*made, *(one for one in rest if not frame[one.key].map(is_missing).all())]


_WORDS = ("results", "node", "device", "dtype", "update", "optimizer")
_NUMBERS = ("threads", "learning_rate", "hidden_size", "batch_size")


def _symbol(name: str) -> str:
    return pairs.SYMBOLS.get(name, name)


def text(row: Row, field: Field) -> str:
    """Return one cell as a reader sees it."""
    value = row[field.key]
    if field.unit is None:
        return str(value) if value else ""
    return field.unit.text(value) if math.isfinite(value) else MISSING


def first_rows(frame: pd.DataFrame) -> list[list[str]]:
    """Return the rows that are there without scripts, as text."""
    known = fields(frame)
    shown = frame.head(WITHOUT_SCRIPTS).to_dict("records")
    return [[text(row, field) for field in known] for row in _plain(shown)]


def as_json(frame: pd.DataFrame) -> str:
    """Return all rows for the page's script, with the units to format them by.

    No "<" is left in it: it stands inside a script element, and reasons hold users' words.
    """
    known = fields(frame)
    columns = [
        {
            "key": field.key,
            "heading": field.heading,
            "alias": field.alias,
            "scales": field.unit.scales if field.unit else None,
            "whole": bool(field.unit and field.unit.integral),
            "digits": field.unit.digits if field.unit else 0,
        }
        for field in known
    ]
    rows = [
        [_packed(row[field.key]) for field in known] for row in _plain(frame.to_dict("records"))
    ]
    data = json.dumps({"columns": columns, "rows": rows}, separators=(",", ":"), allow_nan=False)
    return data.replace("<", "\\u003c")


def _result(key: str, alias: str) -> Field:
    return Field(key, BY_KEY[key].label, alias, BY_KEY[key].unit)


def _plain(rows: list[dict[Any, Any]]) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows]


def _packed(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.{PRECISION}g}") if math.isfinite(value) else None
    return value if isinstance(value, int) else str(value or "")
