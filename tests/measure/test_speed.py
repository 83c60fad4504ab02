"""The protocol of a speed trial: what is run, what is kept, when it stops. No time is asserted."""

import pytest
import torch
from rigs import rig_of

from harness.measure.phases import PHASES
from harness.measure.speed import _flags, _sample, measure
from harness.trial import SpeedProtocol

QUICK = {
    "warmup_sequences": 2,
    "warmup_seconds": 0.0,
    "min_samples": 3,
    "min_seconds": 0.0,
    "max_samples": 4,
    "min_sample_seconds": 0.0,
    "phase_sequences": 1,
}


def test_raw_samples_and_the_reason_to_stop_are_kept() -> None:
    values = measure(rig_of("speed", protocol=QUICK))
    assert len(values["warmup_seconds"]) == 2
    assert 3 <= len(values["sample_seconds"]) <= 4
    assert values["stop_reason"] in ("4 samples taken", "median known within 1%")
    assert values["threads_in_force"] == torch.get_num_threads()
    assert min(values["sample_seconds"]) > min(values["floor_seconds"]) > 0
    assert set(values["phase_seconds"]) == set(PHASES)


def test_timing_moves_no_parameter() -> None:
    rig = rig_of("speed", protocol=QUICK)
    before = [param.detach().clone() for param in rig.model.parameters()]
    measure(rig)
    assert all(torch.equal(a, b) for a, b in zip(before, rig.model.parameters(), strict=True))


def test_updates_per_sequence_are_windows_or_one() -> None:
    params = {"stride": 7, "depth": 7}
    by_window = measure(rig_of("speed", "truncated_bptt", params=params, protocol=QUICK))
    by_sequence = measure(
        rig_of("speed", "truncated_bptt", params=params, protocol=QUICK, update="sequence")
    )
    assert by_window["updates_per_sequence"] == 4  # 7 + 7 + 7 + 3
    assert by_sequence["updates_per_sequence"] == 1


@pytest.mark.parametrize(
    ("seconds", "protocol", "count", "reason"),
    [
        ([1.0], {"min_samples": 10, "min_seconds": 0.0}, 10, "median known within 1%"),
        ([1.0, 2.0], {"min_seconds": 0.0, "max_samples": 30}, 30, "30 samples taken"),
        ([1.0], {"max_seconds": 0.0}, 1, "0 s passed"),
        ([2.5], {}, 3, "3 samples of over 2 s"),
    ],
    ids=["steady", "noisy", "out of time", "long"],
)
def test_sampling_stops_at_the_first_rule_that_is_met(
    seconds: list[float], protocol: dict[str, float], count: int, reason: str
) -> None:
    drawn: list[float] = []

    def take() -> float:
        drawn.append(seconds[len(drawn) % len(seconds)])
        return drawn[-1]

    samples, found = _sample(take, SpeedProtocol(**protocol))  # type: ignore[arg-type]
    assert found == reason
    assert len(samples) == count


def test_a_drift_an_outlier_and_a_crowd_are_flagged_and_a_steady_run_is_not() -> None:
    assert _flags([1.0] * 10, preemptions=0) == []
    assert "1.05 times" in _flags([1.0] * 5 + [1.05] * 5, 0)[0]
    assert "1 of 10 samples" in _flags([1.0] * 9 + [4.0], 0)[0]
    assert "preempted 11 times" in _flags([1.0] * 10, 11)[0]
