"""An estimate with the interval that says how sure it is, and the numbers it may be made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95  # two-sided; below it there is no verdict

Floats = NDArray[np.float64]
Series = Sequence[float | int] | NDArray[np.number[Any]]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the range that covers the truth with probability `confidence`."""

    estimate: float
    low: float
    high: float
    confidence: float  # attained: may be above, and for few samples below, what was asked
    count: int  # samples, pairs, lengths or trials it rests on


def finite(name: str, values: Series) -> Floats:
    """Return the values as an array.

    Raises:
        ValueError: there is none, or one is not finite; `name` says whose.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        raise ValueError(f"{name} is empty; at least one number is needed")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} has a number that is not finite; leave such trials out")
    return numbers


def logs(name: str, values: Series) -> Floats:
    """Return the logarithms of the values.

    Raises:
        ValueError: there is none, or one is not positive and finite; `name` says whose.
    """
    numbers = finite(name, values)
    if not (numbers > 0).all():
        raise ValueError(f"{name} has {numbers.min():g}; a logarithm needs positive numbers")
    return np.log(numbers)


def log_blocks(name: str, blocks: Sequence[Series] | NDArray[np.float64], places: int) -> Floats:
    """Return the logarithms of one series a block, `places` numbers each.  # (blocks, places)

    Raises:
        ValueError: a series is of another length, or a number is not positive and finite.
    """
    table = np.stack([logs(name, block) for block in blocks])  # (blocks, places)
    if table.shape[1] != places:
        raise ValueError(f"{name} has {table.shape[1]} entries a block for {places} lengths")
    return table
