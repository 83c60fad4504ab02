"""Lengths, durations and sizes are read as people write them."""

import pytest

from harness.sweep import units


@pytest.mark.parametrize(
    ("text", "want"), [("30s", 30), ("10min", 600), ("1.5 h", 5400), ("0.5s", 0.5)]
)
def test_a_duration_is_in_seconds(text: str, want: float) -> None:
    assert units.seconds(text) == want


@pytest.mark.parametrize(
    ("text", "want"), [("8GiB", 2**33), ("500 MB", 5 * 10**8), ("1KiB", 1024), ("7B", 7)]
)
def test_a_size_is_in_bytes(text: str, want: int) -> None:
    assert units.size_bytes(text) == want


@pytest.mark.parametrize("text", ["10", "ten min", "10 minutes", "0s", "-1s", 10, "8GiB"])
def test_a_bad_duration_is_told_its_units_and_an_example(text: object) -> None:
    with pytest.raises(ValueError, match=r'is not a duration .*\(s, min, h\), like "10min"'):
        units.seconds(text)


def test_a_range_of_powers_holds_both_ends() -> None:
    assert units.powers("2^6..2^9") == [64, 128, 256, 512]


@pytest.mark.parametrize("text", ["2^6..3^9", "64..128", "1^2..1^5", "lots"])
def test_a_bad_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number, a list, or a range"):
        units.powers(text)
