"""What one trial will take, as far as is known before it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """An estimate of a trial."""

    seconds: float
    peak_bytes: float | None  # of tensors; None: no formula
