"""How long a sweep will still take: what is left, what runs, and how many run at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from harness.forecast.demand import Levels, levels
from harness.forecast.machine import ALONE, Machine
from harness.forecast.model import Forecast
from harness.trial import Record, Trial


@dataclass(frozen=True, slots=True)
class Remaining:
    """The seconds until the end, and the relative error that nine of ten estimates stay below."""

    seconds: float
    spread: float


@dataclass(slots=True)
class Kind:
    """The trials that are timed, or those that are not."""

    began: dict[str, float] = field(default_factory=dict)  # of those that run, by id
    shares: dict[str, float] = field(default_factory=dict)  # of a machine, that they have
    left: Counter[Levels] = field(default_factory=Counter)  # how many wait at each point
    worked: float = 0.0  # seconds of a whole machine, by those that have ended
    wall: float = 0.0  # seconds in which at least one ran
    since: float = 0.0  # when the first of those that run began, after none did

    def machines(self, now: float) -> float:
        """Return how many machines they fill, on average, as far as was seen; 1 before that."""
        going = sum((now - began) * self.shares[name] for name, began in self.began.items())
        wall = self.wall + (now - self.since if self.began else 0.0)
        return (self.worked + going) / wall if self.worked else 1.0


class Progress:
    """The trials of a sweep that are still to come, told of each that begins and ends."""

    def __init__(
        self,
        forecast: Forecast,
        trials: Iterable[Trial],
        machine: Machine,
        now: Callable[[], float],
    ) -> None:
        self._forecast = forecast
        self._machine = machine
        self._kinds = {True: Kind(), False: Kind()}
        self._now = now
        self._points: dict[Levels, Trial] = {}  # one of those that are alike in all that costs time
        self._waiting: set[str] = set()
        for trial in trials:
            along = levels(trial)
            self._points[along] = trial
            self._waiting.add(trial.id)
            self._kind(trial).left[along] += 1
        self._running: dict[str, Trial] = {}

    def started(self, trial: Trial) -> None:
        """Note that a trial runs."""
        kind, now = self._kind(trial), self._now()
        self._take(trial)
        self._running[trial.id] = trial
        kind.since = kind.since if kind.began else now
        kind.began[trial.id] = now
        kind.shares[trial.id] = self._share(trial)

    def ended(self, record: Record) -> None:
        """Note what became of a trial, which may never have begun."""
        trial, now = record.trial, self._now()
        self._forecast.learn(record)
        kind = self._kind(trial)
        if self._running.pop(trial.id, None) is None:
            self._take(trial)
            return
        kind.worked += (now - kind.began.pop(trial.id)) * kind.shares.pop(trial.id)
        kind.wall += 0.0 if kind.began else now - kind.since

    def remaining(self) -> Remaining:
        """Return how long it will still take."""
        now, total = self._now(), 0.0
        for kind in self._kinds.values():
            seconds = sum(
                count * self._forecast.expected(point).seconds * self._share(point)
                for along, count in kind.left.items()
                for point in [self._points[along]]
            )
            total += seconds / kind.machines(now)
        ends = [
            self._forecast.expected(trial).seconds - (now - self._kind(trial).began[trial.id])
            for trial in self._running.values()
        ]
        total += max([0.0, *ends])  # they run side by side
        return Remaining(total, self._forecast.spread)

    def _share(self, trial: Trial) -> float:
        return 1 / self._machine.at_a_time(trial)

    def _kind(self, trial: Trial) -> Kind:
        return self._kinds[trial.measurement == ALONE]

    def _take(self, trial: Trial) -> None:
        """Note that a trial no longer waits."""
        if trial.id in self._waiting:
            self._waiting.remove(trial.id)
            self._kind(trial).left[levels(trial)] -= 1
