"""What one lack of memory says of the trials that have not begun: those like it, and no shorter.

Two trials are alike that differ in nothing but the length and the block, a copy and its original
too. Of them an oom tells

- everywhere, where it was the trial's own limit that was reached, those with no higher limit;
- on the same accelerator, where that was full and no other process was there;
- on the same node, where that was full and no other trial ran there.

It tells nothing where a neighbour may have had the memory, nor of a kernel's kill, which comes with
no word of what was asked; nor where the need differs from draw to draw, or as long a sequence has
fitted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from harness.trial import Limits, Record, Trial

Seat = tuple[str, str]  # a node, and which of its accelerators; "": none
IMPLIED_BY = "implied_by"  # marks such a record: the id of the trial that did run out of memory
SHORT_OF = "short_of"  # the value of an oom that says what was full (harness/worker.py)


@dataclass(frozen=True, slots=True)
class Oom:
    """A trial that ran out of memory, and the seat on which that tells of others."""

    record: Record
    seat: Seat | None  # None: on every one, under its limit

    def tells_of(self, trial: Trial, seat: Seat | None) -> bool:
        """Return whether a trial like it would run out of memory on a seat too."""
        own = self.record.trial
        if trial.sequence_length < own.sequence_length:
            return False
        if self.seat is not None:
            return seat == self.seat
        limit, other = own.limits.memory_bytes, trial.limits.memory_bytes
        return limit is not None and other is not None and other <= limit


class Ooms:
    """What was seen of every series: its ooms, and the longest sequence that fitted."""

    def __init__(self) -> None:
        self._ooms: dict[int, list[Oom]] = defaultdict(list)
        self._fitted: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._ooms)

    def learn(self, record: Record, seat: Seat | None = None, alone: bool = False) -> None:
        """Take in a record: of a seat, where others will run; alone, where it had the node."""
        if record.status == "done":
            series, length = _series(record.trial), record.trial.sequence_length
            self._fitted[series] = max(length, self._fitted.get(series, 0))
        elif (oom := _telling(record, seat, alone)) is not None:
            self._ooms[_series(record.trial)].append(oom)

    def source(self, trial: Trial, seat: Seat | None = None) -> Record | None:
        """Return the record that says of a trial that it would run out of memory; None: none."""
        series = _series(trial)
        if trial.sequence_length <= self._fitted.get(series, 0):
            return None
        found = (oom for oom in self._ooms.get(series, ()) if oom.tells_of(trial, seat))
        return next((oom.record for oom in found), None)


def record(trial: Trial, source: Record) -> Record:
    """Return the record of a trial that was not run, as the source says how it would end."""
    own = source.trial
    return Record(
        trial=trial,
        status="oom",
        reason=(
            f"implied: block {own.block} of the same series ran out of memory at "
            f"T = {own.sequence_length:,} (trial {own.id}): {source.reason}"
        ),
        advice=source.advice,
        values={IMPLIED_BY: own.id},
        node=source.node,
        attempts=0,
    )


def _series(trial: Trial) -> int:
    """Return the same number for trials that are alike.

    In this process only: a trial's id would do too, and takes longer than all else that the fleet
    does for a trial.
    """
    unnamed = replace(trial.implementation, label="", baseline=False)
    alike = replace(trial, implementation=unnamed, sequence_length=0, block=0, replica=0)
    return hash(repr(replace(alike, limits=Limits(), plugins=())))


def _telling(record: Record, seat: Seat | None, alone: bool) -> Oom | None:
    """Return the oom, if that is what the record is of, and it tells of any other trial."""
    if record.status != "oom" or not record.values.get("steady"):
        return None
    match record.values.get(SHORT_OF):
        case "limit":
            return Oom(record, None)
        case "accelerator" if seat is not None:
            return Oom(record, seat)
        case "node" if seat is not None and alone:
            return Oom(record, seat)
    return None
