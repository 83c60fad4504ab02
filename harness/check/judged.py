"""What a gradient method turned out to be on a cell: one word, from what was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from harness.check.finding import Finding
from harness.check.gradients import EXACT, SHAPES, SUPPORTS, TRUNCATED, UNBIASED

Word = Literal[
    "exact", "truncated", "unbiased", "undecided", "approximate", "unsupported", "DISAGREES"
]
MEANINGS: Mapping[Word, str] = MappingProxyType(
    {
        "exact": "full BPTT's gradient at every length tried, up to rounding",
        "truncated": "biased by definition: a part of the exact gradient, and exactly that part",
        "unbiased": "the exact gradient on average over its draws",
        "undecided": "it says unbiased, and no average that was tried can tell",
        "approximate": "biased by definition, which says no part to compare it with",
        "unsupported": "it says that it is not for this cell, and why",
        "DISAGREES": "a promise is broken",
    }
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One gradient method on one cell."""

    method: str
    cell: str
    word: Word
    reason: str  # of what is unsupported, undecided or broken


def judge(method: str, cell: str, findings: Sequence[Finding]) -> Judged:
    """Return the word for a method on one cell, from all that was found about the two.

    The weakest of what was tried counts: a method that is exact for one step alone is not exact.
    """
    broken = [one for one in findings if one.verdict == "broken"]
    refused = [one for one in findings if (one.promise, one.verdict) == (SUPPORTS, "skipped")]
    if broken:
        first = broken[0]
        reason = f"{first.promise}, {first.place}: {first.detail}"
        return Judged(method, cell, "DISAGREES", reason)
    if refused:
        return Judged(method, cell, "unsupported", refused[0].detail)
    undecided = [one for one in findings if (one.promise, one.verdict) == (UNBIASED, "skipped")]
    kept = [one.promise for one in findings if one.verdict == "kept"]
    if undecided and UNBIASED not in kept:
        return Judged(method, cell, "undecided", undecided[0].detail)
    return Judged(method, cell, _compared(kept), "")


def _compared(kept: Sequence[str]) -> Word:
    """Return what the comparisons that were made say; a length without one says nothing."""
    if UNBIASED in kept:
        return "unbiased"
    if TRUNCATED in kept:
        return "truncated"
    return "exact" if 0 < kept.count(SHAPES) == kept.count(EXACT) else "approximate"
