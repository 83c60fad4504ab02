"""How long a training sequence takes: raw samples, and what they depend on.

Values, in seconds per sequence where nothing else is said: first_seconds, warmup_seconds and
sample_seconds (one number a sample), device_sample_seconds (the same by the device's own clock;
null on a CPU), sequences_per_sample, clock_seconds (what a sample costs that holds nothing),
stop_reason, updates_per_sequence, flags, phase_seconds (medians), phase_sample_seconds (one number
a sequence that was split), floor_seconds (one number a sample), floor_warmup_seconds,
floor_sequences_per_sample (these three null where the floor's matrices did not fit into memory),
theory, threads_in_force, affinity, and of the machine meanwhile: governor_before, governor_after
(of the cores of this process), load_before, load_after, cpu_pressure_before, cpu_pressure_after,
window_seconds, preemptions, busy_seconds (of others, by name), machine_busy_seconds,
own_busy_seconds, throttles, quota_pauses, swapped_pages, stolen_seconds (null: not counted there),
gpu_before and gpu_after (as nvml.Reading has it; null on a CPU, and where NVML does not answer).

The learning rate is 0: the optimizer does all of its work and moves nothing, so that every sample
times the same numbers.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch

from harness.device import uuid
from harness.doctor import nvml
from harness.doctor.kernel import Kernel
from harness.measure import surroundings
from harness.measure.account import is_out_of_memory
from harness.measure.flags import crowded, flags
from harness.measure.floor import floor
from harness.measure.phases import PHASES, phase_runs
from harness.measure.stopwatch import Sample, Stopwatch, stopwatch_of
from harness.measure.surroundings import Surroundings
from harness.rig import Rig, Skipped
from harness.stats import CONFIDENCE, median_interval
from harness.trial import SpeedProtocol

FLOOR = ("floor_seconds", "floor_warmup_seconds", "floor_sequences_per_sample")
NO_FLOOR = "no floor: its matrices did not fit into memory"


def measure(rig: Rig) -> dict[str, Any]:
    """Return the timings of whole training sequences on one fixed batch.

    Raises:
        Skipped: more threads are asked for than there are cores to run them.
    """
    cores = os.sched_getaffinity(0)
    if rig.trial.threads > len(cores):
        raise Skipped(f"{rig.trial.threads} threads on {len(cores)} cores would time one another")
    protocol = SpeedProtocol(**rig.trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    drive = rig.drive(rig.optimizer(learning_rate=0.0))
    batch, generator = rig.batch(), rig.generator("method")
    watch, kernel, gpu = stopwatch_of(rig.device, rig.synchronize), Kernel(), _gpu(rig.device)

    def sequence() -> None:
        drive.sequence(batch, drive.begin(rig.trial.batch_size, generator))

    clock_seconds = watch.cost_seconds()
    before = Surroundings.now(kernel, gpu)
    first_seconds = watch.sample(sequence, 1).seconds
    warmup = _warm_up(
        lambda: watch.sample(sequence, 1).seconds, protocol, accelerated=rig.device.type != "cpu"
    )
    per_sample = _runs_per_sample(statistics.median(warmup), clock_seconds, protocol)
    samples, stop_reason = _sample(lambda: watch.sample(sequence, per_sample), protocol)
    after = Surroundings.now(kernel, gpu)
    seconds = [sample.seconds for sample in samples]
    threads = torch.get_num_threads()
    theory = rig.theory()
    phases = phase_runs(rig, batch, protocol)
    bare = _floor(rig, watch, clock_seconds, protocol)
    return {
        "first_seconds": first_seconds,
        "warmup_seconds": warmup,
        "sample_seconds": seconds,
        "device_sample_seconds": _of_device(samples),
        "sequences_per_sample": per_sample,
        "clock_seconds": clock_seconds,
        "stop_reason": stop_reason,
        "updates_per_sequence": rig.updates(),
        "flags": [
            *flags(seconds),
            *crowded(rig.trial.threads, threads, len(cores)),
            *surroundings.flags(before, after, len(warmup) + per_sample * len(samples)),
            *([NO_FLOOR] if bare["floor_seconds"] is None else []),
        ],
        "phase_seconds": {name: statistics.median(run[name] for run in phases) for name in PHASES},
        "phase_sample_seconds": {name: [run[name] for run in phases] for name in PHASES},
        **bare,
        "theory": theory and asdict(theory),
        "threads_in_force": threads,
        "affinity": sorted(cores),
        **surroundings.values(before, after),
    }


def _gpu(device: torch.device) -> nvml.Gpu | None:
    return nvml.named(nvml.library(), uuid(device)) if device.type == "cuda" else None


def _warm_up(take: Callable[[], float], protocol: SpeedProtocol, accelerated: bool) -> list[float]:
    sequences_least, seconds_least = protocol.warmup_sequences, protocol.warmup_seconds
    if accelerated:
        sequences_least, seconds_least = protocol.gpu_warmup_sequences, protocol.gpu_warmup_seconds
    seconds: list[float] = []
    while len(seconds) < sequences_least or sum(seconds) < seconds_least:
        seconds.append(take())
        if sum(seconds) >= protocol.max_seconds:
            break
    return seconds


def _runs_per_sample(seconds: float, clock_seconds: float, protocol: SpeedProtocol) -> int:
    """Return how many runs of so many seconds a sample must hold to be worth taking."""
    least = max(protocol.min_sample_seconds, clock_seconds * protocol.min_sample_clocks)
    return max(1, math.ceil(least / seconds))


def _sample(take: Callable[[], Sample], protocol: SpeedProtocol) -> tuple[list[Sample], str]:
    """Return the samples, and which of the stopping rules ended them."""
    samples: list[Sample] = []
    start = time.perf_counter()
    while True:
        samples.append(take())
        elapsed = time.perf_counter() - start
        if len(samples) < protocol.long_samples:
            continue
        interval = median_interval([sample.seconds for sample in samples])
        if interval.estimate > protocol.long_seconds:
            return samples, f"{len(samples)} samples of over {protocol.long_seconds:g} s"
        if elapsed >= protocol.max_seconds:
            return samples, f"{protocol.max_seconds:g} s passed"
        if len(samples) < protocol.min_samples or elapsed < protocol.min_seconds:
            continue
        if len(samples) >= protocol.max_samples:
            return samples, f"{len(samples)} samples taken"
        narrow = interval.high - interval.low <= 2 * protocol.precision * interval.estimate
        if narrow and interval.confidence >= CONFIDENCE:  # of fewer than 6 samples none is
            return samples, f"median known within {protocol.precision:.0%}"


def _of_device(samples: Sequence[Sample]) -> list[float] | None:
    found = [sample.device_seconds for sample in samples if sample.device_seconds is not None]
    return found or None


def _floor(
    rig: Rig, watch: Stopwatch, clock_seconds: float, protocol: SpeedProtocol
) -> dict[str, Any]:
    """Return the time of the bare products, in samples as long as those of the sequences.

    It holds the gates of every step: what truncates or recomputes may fit where that does not, and
    keeps its times.
    """
    try:
        products = floor(rig)
        warmup = [watch.sample(products, 1).seconds for _ in range(2)]  # one pays for page faults
        count = _runs_per_sample(warmup[-1], clock_seconds, protocol)
        samples = [watch.sample(products, count).seconds for _ in range(protocol.floor_samples)]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return dict.fromkeys(FLOOR)
    return dict(zip(FLOOR, (samples, warmup, count), strict=True))
