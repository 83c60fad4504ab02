"""One promise of a plugin, and whether it was kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.trial import Choice

TOLERANCE = 1e-10  # float64 rounding is 1e-16 a step; a wrong term is above 1e-6
SEED = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, and whether it was kept."""

    plugin: str
    promise: str
    place: str  # the cell and the sizes it was tried on
    verdict: Literal["kept", "broken", "skipped"]
    detail: str = ""


def finding(choice: Choice, promise: str, place: str, kept: bool, said: str) -> Finding:
    """Return the finding of `promise`; `said` is shown where it was broken."""
    return Finding(str(choice), promise, place, "kept" if kept else "broken", "" if kept else said)
