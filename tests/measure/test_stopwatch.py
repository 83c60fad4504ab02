"""A sample on this machine's clock, and on a device's: here a device that is this machine's CPU."""

from __future__ import annotations

import time

import pytest
import torch

from harness.measure.stopwatch import Stopwatch, stopwatch_of


class Moment:
    """An event of a device that does at once what it is given."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()
        self.log.append("event")

    def elapsed_time(self, other: Moment, /) -> float:
        return 1e3 * (other.at - self.at)


def test_a_pair_of_events_stands_inside_the_synchronised_clock() -> None:
    log: list[str] = []
    watch = Stopwatch(lambda: log.append("synchronise"), lambda: Moment(log))
    watch.sample(lambda: log.append("run"), 2)
    assert log == ["synchronise", "event", "run", "run", "event", "synchronise"]


def test_both_clocks_count_seconds_of_one_run() -> None:
    watch = Stopwatch(lambda: None, lambda: Moment([]))
    sample = watch.sample(lambda: sum(range(20_000)), 10)
    assert sample.device_seconds is not None
    assert 0 < sample.device_seconds <= sample.seconds < 0.1


def test_what_passes_before_the_device_is_done_is_in_the_sample() -> None:
    late = Stopwatch(lambda: sum(range(50_000)), lambda: Moment([])).sample(lambda: None, 1)
    assert late.device_seconds is not None
    assert late.seconds > 10 * late.device_seconds


def test_a_processor_has_one_clock() -> None:
    watch = stopwatch_of(torch.device("cpu"), lambda: None)
    assert watch.sample(lambda: None, 1).device_seconds is None
    assert 0 < watch.cost_seconds() < 1e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="needs an accelerator")
def test_an_accelerator_times_its_own_work() -> None:
    device = torch.accelerator.current_accelerator()
    assert device is not None
    watch = stopwatch_of(device, lambda: torch.accelerator.synchronize(device))
    matrix = torch.ones(1024, 1024, device=device)
    sample = watch.sample(lambda: matrix @ matrix, 100)
    assert sample.device_seconds is not None
    assert 0 < sample.device_seconds <= sample.seconds
