"""A trial as it is handed out, and the part of a node that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.executors.protocol import plain
from harness.forecast.demand import levels
from harness.trial import Trial

TIMED = "speed"  # the measurement that needs a node, or an accelerator and its cores, to itself
ALONE = 2  # losses after which a trial runs alone: what it ran beside may be what brought them
UNKNOWN_SECONDS = 1.0  # of a trial that nobody foretold; what is seen of its like corrects it


@dataclass(frozen=True, slots=True)
class Work:
    """A trial as it is handed out: what a place must offer, and how often that went wrong."""

    index: int
    payload: Mapping[str, Any]  # the trial's JSON
    block: int
    device: str
    threads: int
    exclusive: bool  # timed, or alone: nothing that fills cores runs on its node meanwhile
    seconds: float  # its limit
    memory_bytes: int | None
    expected: float  # seconds
    alike: tuple[str, ...]  # the companies whose errors it shares, the widest first
    setting: str  # trials of one block that differ in no word of it are compared with each other
    losses: int = 0  # faults of its node or agent so far

    @classmethod
    def of(cls, index: int, trial: Trial, losses: int, expected: float | None = None) -> Work:
        """Return the work that a trial is."""
        return cls(
            index=index,
            payload=trial.to_json(),
            block=trial.block,
            device=trial.device,
            threads=trial.threads,
            exclusive=trial.measurement == TIMED or losses >= ALONE,
            seconds=trial.limits.seconds,
            memory_bytes=trial.limits.memory_bytes,
            expected=expected or UNKNOWN_SECONDS,
            alike=tuple("/".join(level) for level in levels(trial)),
            setting=_setting(trial),
            losses=losses,
        )

    @property
    def alone(self) -> bool:
        """Return whether it has its whole node to itself, as one that may bring others down."""
        return self.losses >= ALONE

    def lost(self) -> Work:
        """Return it as it waits after one more fault of its node or agent."""
        losses = self.losses + 1
        return replace(self, losses=losses, exclusive=self.exclusive or losses >= ALONE)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Work:
        """Return the work that `to_json` was called on."""
        return cls(**{**data, "alike": tuple(data["alike"])})

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return plain(self)


@dataclass(frozen=True, slots=True)
class Place:
    """The part of a node that a trial has while it runs."""

    node: str
    cores: tuple[int, ...]
    gpu: str  # empty: none
    exclusive: bool


def _setting(trial: Trial) -> str:
    """Return all that must be equal before two times may meet, but for the length and the block."""
    machine = (trial.device, trial.dtype, trial.threads, trial.update, trial.optimizer)
    model = (trial.learning_rate, trial.cell, trial.task, trial.hidden_size, trial.batch_size)
    return "/".join(map(str, (*machine, *model)))
