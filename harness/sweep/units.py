"""Lengths, durations and sizes as people write them: "2^6..2^11", "10min", "8GiB"."""

from __future__ import annotations

import re
from collections.abc import Mapping

SECONDS: Mapping[str, float] = {"s": 1.0, "min": 60.0, "h": 3600.0}
BYTES: Mapping[str, float] = {
    "B": 1.0,
    "KB": 10.0**3,
    "MB": 10.0**6,
    "GB": 10.0**9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_POWERS = re.compile(r"\s*(\d+)\^(\d+)\s*\.\.\s*(\d+)\^(\d+)\s*")


def seconds(value: object) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: it is not one, or it is not above 0.
    """
    return _amount(value, SECONDS, "a duration", "10min")


def size_bytes(value: object) -> int:
    """Return a size in bytes.

    Raises:
        ValueError: it is not one, or it is not above 0.
    """
    return int(_amount(value, BYTES, "a size", "8GiB"))


def _amount(value: object, units: Mapping[str, float], what: str, example: str) -> float:
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in units or float(found[1]) <= 0:
        raise ValueError(
            f'{value!r} is not {what} above 0 with its unit ({", ".join(units)}), like "{example}"'
        )
    return float(found[1]) * units[found[2]]


def powers(value: object) -> object:
    """Return the list that "2^6..2^11" stands for; anything else as it is.

    Raises:
        ValueError: a text that is no such range.
    """
    if not isinstance(value, str):
        return value
    found = _POWERS.fullmatch(value)
    if found is None or found[1] != found[3] or int(found[1]) < 2:
        raise ValueError(f'{value!r} is not a number, a list, or a range like "2^6..2^11"')
    return [int(found[1]) ** exponent for exponent in range(int(found[2]), int(found[4]) + 1)]
