"""The protocol of a speed trial: what is run, what is kept, when it stops. No time is asserted."""

import os

import pytest
import torch
from rigs import rig_of, room_for
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from harness.measure.floor import floor
from harness.measure.phases import PHASES
from harness.measure.speed import _runs_per_sample, _sample, measure
from harness.measure.stopwatch import Sample
from harness.rig import Skipped
from harness.trial import Choice, SpeedProtocol

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
    assert len(values["floor_warmup_seconds"]) == 2
    assert values["phase_sample_seconds"] == {
        phase: [values["phase_seconds"][phase]] for phase in PHASES
    }


def test_a_floor_that_does_not_fit_takes_no_time_from_the_method_that_does() -> None:
    sizes = {"sequence_length": 128, "batch_size": 512, "hidden_size": 64}  # 64 MiB of gates
    params = {"stride": 4, "depth": 4}
    assert measure(rig_of("speed", protocol=QUICK))["floor_seconds"]  # and torch has all it imports
    with room_for(48 * 2**20):
        values = measure(rig_of("speed", "truncated_bptt", params=params, protocol=QUICK, **sizes))
    assert len(values["sample_seconds"]) >= 3
    assert values["floor_seconds"] is None
    assert "no floor: its matrices did not fit into memory" in values["flags"]


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
        ([1.0], {"max_seconds": 0.0}, 3, "0 s passed"),
        ([2.5], {}, 3, "3 samples of over 2 s"),
        ([2.5] + [1.0] * 20, {"min_seconds": 0.0}, 10, "median known within 1%"),
        ([1.0], {"min_samples": 3, "min_seconds": 0.0}, 6, "median known within 1%"),
        ([1.0], {"long_seconds": 0.5, "long_samples": 4}, 4, "4 samples of over 0.5 s"),
    ],
    ids=["steady", "noisy", "out of time", "long", "one long", "few", "long by another rule"],
)
def test_sampling_stops_at_the_first_rule_that_is_met(
    seconds: list[float], protocol: dict[str, float], count: int, reason: str
) -> None:
    drawn: list[float] = []

    def take() -> Sample:
        drawn.append(seconds[len(drawn) % len(seconds)])
        return Sample(drawn[-1], None)

    samples, found = _sample(take, SpeedProtocol(**protocol))  # type: ignore[arg-type]
    assert found == reason
    assert len(samples) == count


def test_more_threads_than_cores_are_refused_with_a_sentence() -> None:
    rig = rig_of("speed", protocol=QUICK, threads=10_000)
    with pytest.raises(Skipped, match="10000 threads on"):
        measure(rig)


@pytest.mark.parametrize(
    ("seconds", "clock", "runs"),
    [(0.001, 0.0, 10), (0.05, 0.0, 1), (0.001, 5e-6, 50)],
    ids=["ten milliseconds", "long enough", "a dear clock"],
)
def test_a_sample_holds_runs_enough_for_its_clock(seconds: float, clock: float, runs: int) -> None:
    assert _runs_per_sample(seconds, clock, SpeedProtocol()) == runs


def test_the_record_says_what_the_machine_did_meanwhile() -> None:
    values = measure(rig_of("speed", protocol=QUICK))
    assert values["window_seconds"] > 0
    assert values["own_busy_seconds"] > 0
    assert values["affinity"] == sorted(os.sched_getaffinity(0))
    assert values["device_sample_seconds"] is None  # a processor has no other clock
    assert values["governor_before"] == values["governor_after"]


class ReadsBack(TorchDispatchMode):
    """Counts the numbers that Python is told, for which it waits for the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("cell", "reads"), [("lstm", 0), ("curious", 6)])
def test_nothing_inside_a_sample_reads_a_value_back(cell: str, reads: int) -> None:
    rig = rig_of("speed", sequence_length=6, optimizer="sgd")
    if cell == "curious":  # the control: one that looks at its state at every step
        plain = rig.model.cell.advance
        rig.model.cell.advance = lambda x, state: plain(x, state) if state[0].sum() < 1e9 else state
    drive, batch = rig.drive(rig.optimizer(0.0)), rig.batch()
    carry = drive.begin(4, rig.generator("method"))
    with ReadsBack() as counted:
        drive.sequence(batch, carry)
    assert counted.count == reads


def test_the_floor_is_sampled_as_long_as_the_method() -> None:
    values = measure(rig_of("speed", protocol={**QUICK, "min_sample_seconds": 0.01}))
    assert len(values["floor_seconds"]) == 5
    assert values["floor_sequences_per_sample"] > values["sequences_per_sample"]


def test_the_floor_does_the_products_that_theory_counts() -> None:
    rig = rig_of("speed", sequence_length=80, cell=Choice("gru"))
    with FlopCounterMode(display=False) as counter:
        floor(rig)()
    theory = rig.theory()
    assert theory is not None
    assert counter.get_total_flops() == pytest.approx(theory.flops)
