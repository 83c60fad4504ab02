"""What is wrong with a sweep, in sentences that a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to correct."""

    where: str  # "lengths.toml:14: implementation[1].dpeth", "--set blocks"; "" where there is none
    what: str  # the value, what is allowed, a hint
    line: int = 0  # of the file, where one is to blame

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigurationError(Exception):
    """What was asked for cannot be run; every mistake that was found, one sentence each."""

    def __init__(self, *found: Mistake) -> None:
        mistakes = tuple(sorted(found, key=lambda mistake: mistake.line))
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


class DeviceError(ConfigurationError):
    """The cluster, or the kind of device asked for, is not there."""


def meant(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "depth"?` where a known word is close to `word`, else `.`."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else "."
