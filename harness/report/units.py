"""How a quantity is written: base units in, a number with its unit out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

DIGITS = 3  # significant; more would claim more than the intervals do
MISSING = "–"  # noqa: RUF001  # the dash that tables use where there is no number
TIMES = "×"  # noqa: RUF001  # the sign of a ratio

SMALLEST, LARGEST = 1e-3, 1e7  # beyond, an exponent is easier to read than zeros


@dataclass(frozen=True, slots=True)
class Unit:
    """A family of unit symbols, the largest first: (base units in one, symbol)."""

    scales: tuple[tuple[float, str], ...]
    integral: bool = False  # whole numbers are written in full, without decimals
    digits: int = DIGITS

    def text(self, value: float | int) -> str:
        """Return `value` in the unit that suits it: 0.0412 seconds as "41.2 ms"."""
        if not math.isfinite(value):
            return MISSING
        factor, symbol = self._suiting(value)
        return self._number(value / factor) + symbol

    def tick(self, value: float | int) -> str:
        """Return the text of a round number on an axis: "2 ms" where `text` has "2.00 ms"."""
        factor, symbol = self._suiting(value)
        scaled = value / factor
        tiny = scaled != 0 and abs(scaled) < SMALLEST
        return f"{_power(scaled, 0) if tiny else f'{scaled:,.10g}'}{symbol}"

    def interval(self, estimate: float | int, low: float | int, high: float | int) -> str:
        """Return "41.2 ms [40.8, 41.9]"; the estimate alone where there is no range."""
        if not (math.isfinite(low) and math.isfinite(high)) or low == high:
            return self.text(estimate)
        factor, symbol = self._suiting(estimate)
        ends = ", ".join(self._number(end / factor) for end in (low, high))
        return f"{self._number(estimate / factor)}{symbol} [{ends}]"

    def span(self, values: Iterable[float | int]) -> str:
        """Return "0.35 to 0.36": from the least to the greatest as text; one where they agree."""
        known = list(values)
        ends = dict.fromkeys((self.text(min(known)), self.text(max(known))))
        return " to ".join(ends)

    def _suiting(self, value: float | int) -> tuple[float, str]:
        for factor, symbol in self.scales:
            if abs(value) >= factor or (value == 0 and factor == 1.0):  # 0 s, not 0 ns
                return factor, symbol
        return self.scales[-1]

    def _number(self, value: float | int) -> str:
        if self.integral and value == round(value):
            return f"{value:,.0f}"
        return number(value, self.digits)


def number(value: float | int, digits: int = DIGITS) -> str:
    """Return so many significant digits, with an exponent only where zeros would pile up."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if abs(value) < SMALLEST or abs(value) >= LARGEST:
        return _power(value, 1)
    rounded = round(value, digits - 1 - exponent)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}"


def _power(value: float | int, decimals: int) -> str:
    """Return "3.1e-14"."""
    digits, exponent = f"{value:.{decimals}e}".split("e")
    return f"{digits}e{int(exponent)}"


SECONDS = Unit(((1.0, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns")))
BYTES = Unit(((2.0**30, " GiB"), (2.0**20, " MiB"), (2.0**10, " KiB"), (1.0, " B")), True)
RATIO = Unit(((1.0, TIMES),))
SHARE = Unit(((0.01, " %"),), digits=2)
COUNT = Unit(((1.0, ""),), True)
FLOPS = Unit(((1e12, " TFLOP"), (1e9, " GFLOP"), (1e6, " MFLOP"), (1.0, " FLOP")), True)
PLAIN = Unit(((1.0, ""),))
COSINE = Unit(((1.0, ""),), digits=4)  # 0.9996 is not 1
POWER = Unit(((1.0, ""),), digits=2)
