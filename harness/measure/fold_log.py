"""Folds the log of torch's CPU allocator, read from standard input, into two numbers.

Run as a script of its own, by `python -I -S`: it imports nothing of the harness and starts in
20 ms. It says `{"kept_bytes": ..., "peak_bytes": ...}`, or fails where no line is the allocator's.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass

MARK = b"bptt: a backward pass begins, gradients hold %d bytes\n"
_MARK = re.compile(MARK.replace(b"%d", rb"(\d+)"))
_FIRST = re.compile(rb"C10 alloc (\d+) bytes, total alloc (\d+) bytes\.")
_TOTAL = re.compile(rb"C10 (?:alloc|deleted) \d+ bytes, total alloc (\d+) bytes\.")
_OURS = re.compile(rb"\[I|.*CPUAllocator\.cpp")  # lines of the log; all others are passed on
CHUNK = 1 << 16  # bytes: what a pipe holds


@dataclass
class Account:
    """What the lines so far come to."""

    start: int | None = None  # what was counted as alive before the first line
    live: int = 0
    kept: int = 0
    peak: int = 0

    def add(self, lines: bytes) -> None:
        """Count whole lines."""
        between = _MARK.split(lines)  # totals, held, totals, held, ..., totals
        for place, part in enumerate(between):
            if place % 2:
                self.kept = max(self.kept, self.live - int(part))
            else:
                self._totals(part)

    def _totals(self, lines: bytes) -> None:
        if self.start is None:
            first = _FIRST.search(lines)
            if first is None:
                return
            self.start = int(first[2]) - int(first[1])
        totals = list(map(int, _TOTAL.findall(lines)))
        if totals:
            self.live = totals[-1] - self.start
            self.peak = max(self.peak, max(totals) - self.start)


def main() -> None:
    """Read until the writer is done."""
    account, rest = Account(), b""
    while chunk := os.read(0, CHUNK):
        whole, newline, rest = (rest + chunk).rpartition(b"\n")
        lines = whole + newline
        account.add(lines)
        if len(_TOTAL.findall(lines)) < lines.count(b"\n"):
            _pass_on(lines)
    _pass_on(rest)
    if account.start is None:
        sys.exit("no line of the allocator's log was understood")
    sys.stdout.write(json.dumps({"kept_bytes": account.kept, "peak_bytes": account.peak}))


def _pass_on(lines: bytes) -> None:
    """Write what others had to say to where it would have gone."""
    others = [line for line in lines.splitlines(keepends=True) if not _OURS.match(line)]
    others = [line for line in others if not _MARK.fullmatch(line)]
    os.write(2, b"".join(others))


if __name__ == "__main__":
    main()
