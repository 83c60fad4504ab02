"""The trials that wait, longest first, by what they are now expected to take.

Trials that share a node queue by what they need of it. Those that are timed queue as units: the
trials of a block that are compared with each other, in the order that was drawn for them.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from harness.executors.work import Work
from harness.forecast.correction import Corrections

PRIOR = math.log(3.0)  # how far off estimates are taken to be; no factor depends on it
GROWTH = 1.25  # of the ended trials between two sortings: 10,000 of them sort 40 times

Need = tuple[int, str]  # threads, device


@dataclass(slots=True)
class Unit:
    """Trials that run on one node, and one accelerator of it, one after another."""

    device: str
    threads: int
    setting: str
    works: deque[Work] = field(default_factory=deque)
    node: str | None = None  # where its first trial went
    gpu: str = ""  # and to which accelerator
    seconds: float = 0.0  # of those that wait, when last sorted

    @property
    def need(self) -> Need:
        """Return what each of its trials needs."""
        return self.threads, self.device


@dataclass(slots=True)
class Account:
    """The expected seconds of trials that wait, and of those that were handed out."""

    left: float = 0.0
    given: float = 0.0

    @property
    def done(self) -> float:
        """Return the share of them that was handed out; 1 where there are none."""
        return self.given / (self.left + self.given) if self.left + self.given else 1.0

    def move(self, seconds: float) -> None:
        """Note that trials were handed out; fewer than none: that one came back."""
        self.left, self.given = max(0.0, self.left - seconds), max(0.0, self.given + seconds)


class Waiting:
    """The queues, and what their trials are expected to take, corrected by what was seen."""

    def __init__(self, works: Iterable[Work]) -> None:
        self._corrections = Corrections(PRIOR)
        self._factors: dict[str, float] = {}  # by point, as they were when last sorted
        self._seen, self._sort_at = 0, 1.0
        self._queues: dict[Need, deque[Work]] = defaultdict(deque)
        self._units: dict[tuple[str, int], Unit] = {}
        self._accounts: dict[tuple[Need, bool], Account] = defaultdict(Account)
        for work in works:
            self._queue(work).append(work)
        self._sort()

    def __iter__(self) -> Iterator[Work]:
        for works in (*self._queues.values(), *(unit.works for unit in self._units.values())):
            yield from works

    def __bool__(self) -> bool:
        return any(self._queues.values()) or any(unit.works for unit in self._units.values())

    def needs(self) -> list[Need]:
        """Return what the trials that share a node need of it, the widest first."""
        return sorted((need for need, works in self._queues.items() if works), reverse=True)

    def units(self) -> list[Unit]:
        """Return the units of which a trial waits, the longest first."""
        return [unit for unit in self._units.values() if unit.works]

    def account(self, devices: Collection[str], timed: bool) -> Account:
        """Return the seconds of all trials for some devices that are timed, or that are not."""
        found = self.accounts(devices, timed).values()
        left, given = (one.left for one in found), (one.given for one in found)
        return Account(math.fsum(left), math.fsum(given))

    def accounts(self, devices: Collection[str], timed: bool) -> dict[Need, Account]:
        """Return the same, by what the trials need."""
        return {
            need: account
            for (need, kind), account in self._accounts.items()
            if kind == timed and need[1] in devices
        }

    def take(self, need: Need) -> Work:
        """Return the longest of the trials with a need; it waits no more."""
        return self._hand_out(self._queues[need].popleft())

    def take_within(self, need: Need, seconds: float) -> Work | None:
        """Return the longest that takes no longer; it waits no more."""
        queue = self._queues[need]
        if self.seconds(queue[-1]) > seconds:
            return None
        found = next(work for work in queue if self.seconds(work) <= seconds)
        queue.remove(found)
        return self._hand_out(found)

    def take_of(self, unit: Unit, node: str, gpu: str) -> Work:
        """Return the next trial of a unit, the rest of which then waits for the same place."""
        unit.node, unit.gpu = node, gpu
        return self._hand_out(unit.works.popleft())

    def left(self, unit: Unit) -> float:
        """Return the seconds of a unit's trials that wait."""
        return math.fsum(map(self.seconds, unit.works))

    def put_back(self, work: Work) -> None:
        """Have a trial wait again, as the next of its like."""
        self._queue(work).appendleft(work)
        self._account(work).move(-self._size(work))

    def drop(self, work: Work) -> None:
        """Forget a trial."""
        self._queue(work).remove(work)
        account = self._account(work)
        account.left = max(0.0, account.left - self._size(work))

    def leave(self, node: str, cores: int = 0, gpus: Collection[str] = ()) -> None:
        """Note that a node has no more than this: what it cannot end goes on elsewhere."""
        for unit in self._units.values():
            goes_on = unit.threads <= cores and unit.gpu in ("", *gpus)
            if unit.node == node and not goes_on:
                unit.node = None

    def learn(self, work: Work, seconds: float) -> None:
        """Take in how long a trial took that ended well."""
        self._corrections.learn(work.alike, work.expected, seconds)
        self._seen += 1
        if self._seen >= self._sort_at:
            self._sort_at = self._seen * GROWTH
            self._factors.clear()
            self._sort()

    def seconds(self, work: Work) -> float:
        """Return what a trial is expected to take; one that takes longer is ended at its limit."""
        point = work.alike[-1]
        if point not in self._factors:
            self._factors[point] = self._corrections.factor(work.alike)
        return min(work.seconds, work.expected * self._factors[point])

    def _queue(self, work: Work) -> deque[Work]:
        if not work.exclusive:
            return self._queues[work.threads, work.device]
        key = work.setting, work.block
        if key not in self._units:
            self._units[key] = Unit(work.device, work.threads, work.setting)
        return self._units[key].works

    def _hand_out(self, work: Work) -> Work:
        self._account(work).move(self._size(work))
        return work

    def _account(self, work: Work) -> Account:
        return self._accounts[(work.threads, work.device), work.exclusive]

    def _size(self, work: Work) -> float:
        """Return the seconds that are timed, or else of one core or one accelerator."""
        shared = work.device == "cpu" and not work.exclusive
        return self.seconds(work) * (work.threads if shared else 1)

    def _sort(self) -> None:
        for need, works in self._queues.items():  # stable: equals go block by block
            self._queues[need] = deque(sorted(works, key=self.seconds, reverse=True))
        for unit in self._units.values():
            unit.seconds = self.left(unit)
        longest = sorted(self._units.items(), key=lambda item: -item[1].seconds)
        self._units = dict(longest)
        for account in self._accounts.values():
            account.left = 0.0
        for work in self:
            self._account(work).left += self._size(work)
