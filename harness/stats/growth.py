"""How a cost grows with the length of the sequence: a power of it, with or without an overhead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.stats.interval import CONFIDENCE, Floats, Interval, Series, log_blocks, logs
from harness.stats.location import centres, hodges_lehmann

MIN_LENGTHS = 3  # two points always lie on a line, whatever the truth
MIN_LENGTHS_WITH_OVERHEAD = 4  # and three always lie on a + b T^c
EXPONENTS = (0.2, 4.0)  # flatter cannot be told from an overhead; nothing here grows faster
AT_AN_END = 1e-3  # an exponent so close to an end of the range was not found inside it


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """value = scale · length^exponent."""

    exponent: Interval
    scale: float
    misfit: float  # relative; some measured length is at least so far from the law


@dataclass(frozen=True, slots=True)
class OffsetPowerLaw:
    """value = overhead + scale · length^exponent."""

    exponent: Interval
    overhead: Interval
    scale: float
    misfit: float  # relative; some measured length is at least so far from the law


def power_law(lengths: Series, values: Series | Sequence[Series]) -> PowerLaw | None:
    """Return how values grow with length: a straight line through the logarithms.

    `values` is one series, as long as `lengths`, or one such series a block. Over blocks the
    exponent's interval is Hodges-Lehmann's; of a single series it is Student's, from how far the
    points lie off the line. A constant overhead bends the line and lowers the exponent: it holds
    for the range it was fitted over. None: under 3 different lengths.

    Raises:
        ValueError: a series is not as long as `lengths`, or a number is not positive and finite.
    """
    x, y = _table(lengths, values)
    if len(set(x)) < MIN_LENGTHS:
        return None
    centred = x - x.mean()
    slopes = y @ centred / (centred @ centred)
    exponent = hodges_lehmann(slopes) if len(y) > 1 else _slope_interval(centred, y[0], slopes[0])
    scale = math.exp(float(np.median(y.mean(axis=1))) - exponent.estimate * x.mean())
    fitted = y.mean(axis=1, keepdims=True) + np.outer(slopes, centred)  # (blocks, lengths)
    return PowerLaw(exponent, scale, _misfit(y - fitted))


def offset_power_law(lengths: Series, values: Sequence[Series]) -> OffsetPowerLaw | None:
    """Return how values grow with length beyond a constant overhead: t = a + b T^c.

    `values` is one series a block, each fitted by itself by least relative squares; the intervals
    are Hodges-Lehmann's over blocks. So they hold what changes from block to block, and not what
    no block can show, a curve of another shape: look at `misfit`. The overhead may come out
    negative where the curve bends the other way. None: under 4 different lengths, or some block
    does not tell the exponent, whose best value lies at an end of 0.2 to 4.

    Raises:
        ValueError: a series is not as long as `lengths`, or a number is not positive and finite.
    """
    x, y = _table(lengths, values)
    if len(set(x)) < MIN_LENGTHS_WITH_OVERHEAD:
        return None
    most = x.max()
    fits = [_Fit.of(x - most, block) for block in y]  # in units of the longest: well conditioned
    least_power, most_power = EXPONENTS
    if any(not least_power < fit.exponent < most_power for fit in fits):
        return None
    exponent = hodges_lehmann([fit.exponent for fit in fits])
    scales = [fit.scale * math.exp(-fit.exponent * most) for fit in fits]
    residuals = np.stack([fit.residuals for fit in fits])  # (blocks, lengths)
    overhead = hodges_lehmann([fit.overhead for fit in fits])
    return OffsetPowerLaw(exponent, overhead, float(np.median(scales)), _misfit(residuals))


@dataclass(frozen=True, slots=True)
class _Fit:
    """a + b T^c of one block; T in units of the longest."""

    exponent: float
    overhead: float
    scale: float
    residuals: Floats  # measured / fitted - 1, nearly

    @classmethod
    def of(cls, x: Floats, y: Floats) -> _Fit:
        """Return the fit: a and b are linear for a given c, so only c is searched for."""
        from scipy import optimize  # 0.4 s, which the fork servers need not pay

        weights = np.exp(-y)  # relative errors

        def linear(power: float) -> tuple[Floats, Floats]:
            """Return a and b, and the relative residuals, for this c."""
            design = np.stack([weights, weights * np.exp(power * x)], axis=1)  # (lengths, 2)
            coefficients = np.linalg.lstsq(design, np.ones(len(x)))[0]
            return coefficients, 1.0 - design @ coefficients

        found = optimize.minimize_scalar(
            lambda power: float(np.square(linear(float(power))[1]).sum()),
            bounds=EXPONENTS,
            method="bounded",
        )
        least, most = EXPONENTS
        power = float(found.x)
        if min(power - least, most - power) < AT_AN_END:
            power = least if power - least < AT_AN_END else most
        (overhead, scale), residuals = linear(power)
        return cls(power, float(overhead), float(scale), residuals)


def _table(lengths: Series, values: Series | Sequence[Series]) -> tuple[Floats, Floats]:
    """Return the logarithms of the lengths, and of the values, a row a block."""
    x = logs("lengths", lengths)
    blocks = [values] if np.ndim(values[0]) == 0 else values
    return x, log_blocks("values", blocks, len(x))  # type: ignore[arg-type]  # by ndim


def _misfit(residuals: Floats) -> float:
    """Return how far some length is off for sure: the near end of its interval over blocks."""
    off = centres(residuals)
    return float(np.maximum(np.maximum(off.low, -off.high), 0.0).max())


def _slope_interval(centred: Floats, y: Floats, slope: float) -> Interval:
    """Return a least-squares slope with Student's interval on n - 2 degrees of freedom."""
    free = len(y) - 2
    residuals = y - y.mean() - slope * centred
    error = math.sqrt(float(residuals @ residuals) / free / float(centred @ centred))
    reach = float(special.stdtrit(free, (1 + CONFIDENCE) / 2)) * error
    return Interval(float(slope), slope - reach, slope + reach, CONFIDENCE, len(y))
