"""Weak samples are told from good ones, in words, and how often good ones are blamed is known."""

import numpy as np
import pytest

from harness.measure.flags import crowded, flags


def test_steady_samples_have_no_flag() -> None:
    assert flags([1.0] * 10) == []
    assert flags([1.0]) == []


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([1.0] * 5 + [1.05] * 5, "the second half took 1.05 times the first half's time"),
        ([1.0] * 9 + [4.0], "1 of 10 samples above 1.5 times the median"),
        ([1 + 0.005 * i for i in range(10)], "a trend: slower by 4.4% over the samples"),
        ([1 - 0.005 * i for i in range(10)], "a trend: faster by 4.6% over the samples"),
    ],
    ids=["halves", "outlier", "slower", "faster"],
)
def test_weak_samples_are_flagged(samples: list[float], words: str) -> None:
    assert words in flags(samples)


@pytest.mark.parametrize("samples", [[1 + 0.0005 * i for i in range(10)], [1.0, 1.02, 1.04]])
def test_a_drift_within_the_precision_or_of_three_samples_is_no_trend(
    samples: list[float],
) -> None:
    assert not any("trend" in flag for flag in flags(samples))


def blamed(noise: float, drift: float) -> float:
    random = np.random.default_rng(0)
    runs = 1 + noise * random.standard_normal((400, 20)) + drift * np.linspace(0, 1, 20)
    return float(np.mean([any("trend" in flag for flag in flags(run)) for run in runs.tolist()]))


def test_chance_is_called_a_trend_once_in_a_hundred_and_a_drift_nearly_always() -> None:
    assert blamed(noise=0.02, drift=0.0) < 0.02
    assert blamed(noise=0.02, drift=0.08) > 0.9


def test_threads_that_are_not_those_asked_for_and_threads_that_share_cores_are_flagged() -> None:
    assert crowded(asked=2, in_force=2, cores=2) == []
    assert crowded(2, 1, 1) == ["2 threads were asked for, 1 were in force"]
    assert crowded(2, 2, 1) == ["2 threads shared 1 cores"]
    assert crowded(1, 1, 2) == ["not pinned: 1 of 2 cores would do"]
