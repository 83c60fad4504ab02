"""What was found about one thing that timings depend on, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

State = Literal["fine", "disturbs", "unknown"]
STATES: tuple[State, ...] = get_args(State)
FINE, DISTURBS, UNKNOWN = STATES


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's answer. What cannot be read is unknown, never guessed."""

    topic: str
    state: State
    seen: str  # what was read; where the state is unknown, why nothing was
    advice: str = ""  # what to do about it


def fine(topic: str, seen: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(topic, FINE, seen)


def disturbs(topic: str, seen: str, advice: str) -> Finding:
    """Return a finding that makes numbers worse, and what helps."""
    return Finding(topic, DISTURBS, seen, advice)


def unknown(topic: str, why: str, advice: str = "") -> Finding:
    """Return what could not be found out."""
    return Finding(topic, UNKNOWN, why, advice)
