import math

import pytest

from harness.report.units import BYTES, COUNT, PLAIN, RATIO, SECONDS, SHARE


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (SECONDS, 0.0412, "41.2 ms"),
        (SECONDS, 4.12e-6, "4.12 µs"),
        (SECONDS, 61.0, "61.0 s"),
        (SECONDS, 0.0, "0 s"),
        (BYTES, 1536, "1.50 KiB"),
        (BYTES, 3 * 2**20, "3 MiB"),
        (RATIO, 0.3512, "0.351×"),  # noqa: RUF001  # the sign that readers see
        (SHARE, 0.2599, "26 %"),
        (COUNT, 2160, "2,160"),
        (PLAIN, 3.1e-14, "3.1e-14"),
        (PLAIN, 0.0, "0"),
        (PLAIN, math.nan, "–"),  # noqa: RUF001  # the dash of an empty cell
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_quantity_is_written_in_the_unit_that_suits_it(unit, value, text):
    assert unit.text(value) == text


def test_rounding_up_does_not_gain_a_digit():
    assert PLAIN.text(9.999) == "10.0"


def test_an_interval_keeps_the_unit_of_its_estimate():
    assert SECONDS.interval(0.0009, 0.0008, 0.0011) == "900 µs [800, 1,100]"


def test_an_interval_of_one_block_is_shown_as_the_number_alone():
    assert RATIO.interval(1.07, 1.07, 1.07) == RATIO.text(1.07)


def test_a_tick_has_no_trailing_zeros():
    assert [SECONDS.tick(0.002), BYTES.tick(2**24), PLAIN.tick(1e-5)] == ["2 ms", "16 MiB", "1e-5"]
