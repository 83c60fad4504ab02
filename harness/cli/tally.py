"""How far a sweep is, and how long it will still take."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter

from harness.cli import words
from harness.forecast.progress import Progress, Remaining
from harness.trial import STATUSES, Record, Trial

ETA_SECONDS = 1.0  # how often it is worked out: thousands of trials are added up for it
WIDE = 0.5  # relative; from here on an ETA's two ends say more than its middle


class Tally:
    """How far a sweep is; any thread may ask."""

    def __init__(self, name: str, total: int, before: int, progress: Progress) -> None:
        """Count `total` trials, of which `before` were recorded by an earlier command."""
        self.name = name
        self.total = total
        self.before = before
        # All of them from the start: the screen's thread goes through them as others are counted.
        self.statuses = Counter(dict.fromkeys(STATUSES, 0))
        self._progress = progress
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._told, self._told_at = "", -math.inf

    @property
    def finished(self) -> int:
        """Return the trials that have a record."""
        return self.before + self.statuses.total()

    def started(self, trial: Trial) -> None:
        """Note that a trial runs."""
        with self._lock:
            self._progress.started(trial)

    def kept(self, record: Record) -> None:
        """Note what became of a trial."""
        with self._lock:
            self.statuses[record.status] += 1
            self._progress.ended(record)

    def remaining(self) -> str:
        """Return "52 s, ETA 3 min 10 s (± 20 s)"; the ETA is anew once a second."""
        now = time.monotonic()
        with self._lock:
            if now - self._told_at >= ETA_SECONDS:
                self._told, self._told_at = eta(self._progress.remaining()), now
        return f"{words.duration(now - self._began)}, ETA {self._told}"


def eta(left: Remaining) -> str:
    """Return "3 min (± 20 s)"; a range where little is known."""
    if left.spread < WIDE:
        return f"{words.duration(left.seconds)} (± {words.duration(left.seconds * left.spread)})"
    ends = (left.seconds / (1 + left.spread), left.seconds * (1 + left.spread))
    return " to ".join(dict.fromkeys(map(words.duration, ends)))
