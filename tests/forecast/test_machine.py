"""Trials run side by side as far as the cores and accelerators go that each has to itself."""

import pytest
from demands import trial

from harness.executors.node import Node
from harness.forecast.machine import Machine

MACHINE = Machine(cores=16, gpus=4)


@pytest.mark.parametrize(
    ("device", "threads", "packed", "timed"),
    [
        ("cpu", 1, 16, 1),
        ("cpu", 4, 4, 1),
        ("cpu", 32, 1, 1),
        ("cuda", 1, 4, 4),
        ("cuda:H100", 4, 4, 4),
        ("cuda", 8, 2, 1),  # four shares of the cores have no eight
    ],
)
def test_as_many_run_as_have_their_cores_and_their_accelerator(device, threads, packed, timed):
    of = {"device": device, "threads": threads}
    assert MACHINE.at_a_time(trial("memory", **of)) == packed
    assert MACHINE.at_a_time(trial("speed", **of)) == timed
    assert Node(slots=16, gpus=4).seats(threads, device) == timed  # of the schedule itself


def test_where_nothing_is_known_one_runs_at_a_time():
    for device in ("cpu", "cuda"):
        assert Machine(gpus=0).at_a_time(trial("memory", device=device, threads=4)) == 1
        assert Machine(gpus=0).at_a_time(trial("speed", device=device)) == 1
