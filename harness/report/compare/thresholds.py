"""When a comparison is a regression: only when its whole interval lies beyond what was allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness import stats
from harness.report.compare.comparison import Comparison
from harness.report.compare.rows import Lost, Row

MEASURES = ("speed", "memory")
_FORM = re.compile(r"\s*([a-z]+)\s*:\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*")


@dataclass(frozen=True, slots=True)
class Threshold:
    """How much more of something is allowed."""

    measure: str
    share: float

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Return the threshold that "speed:10%" says.

        Raises:
            ValueError: it is no such text, or there is no such measure.
        """
        found = _FORM.fullmatch(text)
        if found is None or found[1] not in MEASURES:
            raise ValueError(
                f"{text!r} is no threshold; write speed:10% or memory:5%, in percent more than BASE"
            )
        return cls(found[1], float(found[2]) / 100)


@dataclass(frozen=True, slots=True)
class Regression:
    """Something that is worse by more than was allowed, for sure."""

    threshold: Threshold
    found: Row | Lost


def judged(compared: Comparison, thresholds: Sequence[Threshold]) -> tuple[Regression, ...]:
    """Return every regression: the interval wholly beyond the threshold, and beyond the margin.

    What BASE did and NEW could not counts as infinitely worse.
    """
    rows: list[tuple[Row | Lost, str]] = [(row, row.measure) for row in compared.rows]
    rows += [(one, one.measure) for one in compared.lost]
    return tuple(
        Regression(threshold, row)
        for threshold in thresholds
        for row, measure in rows
        if measure == threshold.measure and (isinstance(row, Lost) or _beyond(row, threshold))
    )


def undecidable(compared: Comparison, thresholds: Sequence[Threshold]) -> tuple[Row, ...]:
    """Return the rows that too few blocks keep from ever being a regression."""
    asked = {threshold.measure for threshold in thresholds}
    return tuple(row for row in compared.rows if row.measure in asked and not _sure(row))


def _beyond(row: Row, threshold: Threshold) -> bool:
    return _sure(row) and row.ratio.low > 1 + max(threshold.share, row.margin)


def _sure(row: Row) -> bool:
    return row.ratio.confidence >= stats.CONFIDENCE
