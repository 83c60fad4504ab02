"""How long a sweep will still take: what is left, what runs, and how many run at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from harness.forecast.demand import Levels, levels
from harness.forecast.model import Forecast
from harness.trial import Record, Trial

ALONE = "speed"  # the measurement that has a node to itself


@dataclass(frozen=True, slots=True)
class Remaining:
    """The seconds until the end, and the relative error that nine of ten estimates stay below."""

    seconds: float
    spread: float


@dataclass(slots=True)
class Kind:
    """The trials that run alone, or those that share a node."""

    guess: float  # of how many run at a time, before any did
    began: dict[str, float] = field(default_factory=dict)  # of those that run, by id
    left: Counter[Levels] = field(default_factory=Counter)  # how many wait at each point
    worked: float = 0.0  # seconds, of those that have ended
    wall: float = 0.0  # seconds in which at least one ran
    since: float = 0.0  # when the first of those that run began, after none did

    def at_a_time(self, now: float) -> float:
        """Return how many run at a time, on average, as far as was seen."""
        worked = self.worked + sum(now - began for began in self.began.values())
        wall = self.wall + (now - self.since if self.began else 0.0)
        return max(1.0, worked / wall) if self.worked else self.guess


class Progress:
    """The trials of a sweep that are still to come, told of each that begins and ends."""

    def __init__(
        self, forecast: Forecast, trials: Iterable[Trial], slots: int, now: Callable[[], float]
    ) -> None:
        self._forecast = forecast
        self._kinds = {True: Kind(1.0), False: Kind(float(slots))}
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

    def ended(self, record: Record) -> None:
        """Note what became of a trial, which may never have begun."""
        trial, now = record.trial, self._now()
        self._forecast.learn(record)
        kind = self._kind(trial)
        if self._running.pop(trial.id, None) is None:
            self._take(trial)
            return
        kind.worked += now - kind.began.pop(trial.id)
        kind.wall += 0.0 if kind.began else now - kind.since

    def remaining(self) -> Remaining:
        """Return how long it will still take."""
        now, total = self._now(), 0.0
        for kind in self._kinds.values():
            seconds = sum(
                count * self._forecast.expected(self._points[along]).seconds
                for along, count in kind.left.items()
            )
            total += seconds / kind.at_a_time(now)
        ends = [
            self._forecast.expected(trial).seconds - (now - self._kind(trial).began[trial.id])
            for trial in self._running.values()
        ]
        total += max([0.0, *ends])  # they run side by side
        return Remaining(total, self._forecast.spread)

    def _kind(self, trial: Trial) -> Kind:
        return self._kinds[trial.measurement == ALONE]

    def _take(self, trial: Trial) -> None:
        """Note that a trial no longer waits."""
        if trial.id in self._waiting:
            self._waiting.remove(trial.id)
            self._kind(trial).left[levels(trial)] -= 1
