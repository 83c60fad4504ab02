"""How long a training sequence takes: raw samples, and what they depend on.

Values: first_seconds, warmup_seconds, sample_seconds (seconds per sequence, one number a sample),
sequences_per_sample, stop_reason, updates_per_sequence, flags, phase_seconds, floor_seconds,
theory, threads_in_force, load_before, load_after.

The learning rate is 0: the optimizer does all of its work and moves nothing, so that every sample
times the same numbers.
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from harness.measure.floor import floor_sample
from harness.measure.phases import phase_seconds
from harness.rig import Rig
from harness.stats import median_interval
from harness.trial import SpeedProtocol

LONG_SEQUENCE_SECONDS = 2.0  # from here on three samples must do
LONG_SEQUENCE_SAMPLES = 3
GPU_WARMUP_SEQUENCES, GPU_WARMUP_SECONDS = 10, 2.0  # clocks rise more slowly than on a CPU
FLOOR_SAMPLES = 5  # enough for a median; the floor's own noise is recorded with them
TREND = 0.02  # halves of a run that differ by more are flagged, never deleted
OUTLIER = 1.5  # times the median


def measure(rig: Rig) -> dict[str, Any]:
    """Return the timings of whole training sequences on one fixed batch."""
    protocol = SpeedProtocol(**rig.trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    drive = rig.drive(rig.optimizer(learning_rate=0.0))
    batch, generator = rig.batch(), rig.generator("method")

    def sequences(count: int) -> float:
        """Return the seconds per sequence of `count` sequences, synchronised at both ends."""
        rig.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            drive.sequence(batch, drive.begin(rig.trial.batch_size, generator))
        rig.synchronize()
        return (time.perf_counter() - start) / count

    load_before = os.getloadavg()[0]
    first_seconds = sequences(1)
    warmup = _warm_up(sequences, protocol, accelerated=rig.device.type != "cpu")
    preempted = _preemptions()
    per_sample = max(1, math.ceil(protocol.min_sample_seconds / statistics.median(warmup)))
    samples, stop_reason = _sample(lambda: sequences(per_sample), protocol)
    preempted = _preemptions() - preempted
    floor_sample(rig)  # its own first run pays for page faults
    theory = rig.theory()
    steps = rig.method.stride or len(batch)
    updates = math.ceil(len(batch) / steps) if rig.trial.update == "window" else 1
    return {
        "first_seconds": first_seconds,
        "warmup_seconds": warmup,
        "sample_seconds": samples,
        "sequences_per_sample": per_sample,
        "stop_reason": stop_reason,
        "updates_per_sequence": updates,
        "flags": _flags(samples, preempted),
        "phase_seconds": phase_seconds(rig, batch, protocol.phase_sequences),
        "floor_seconds": [floor_sample(rig) for _ in range(FLOOR_SAMPLES)],
        "theory": theory and asdict(theory),
        "threads_in_force": torch.get_num_threads(),
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
    }


def _warm_up(
    sequences: Callable[[int], float], protocol: SpeedProtocol, accelerated: bool
) -> list[float]:
    sequences_least, seconds_least = protocol.warmup_sequences, protocol.warmup_seconds
    if accelerated:  # clocks rise and kernels are chosen while it runs
        sequences_least = max(sequences_least, GPU_WARMUP_SEQUENCES)
        seconds_least = max(seconds_least, GPU_WARMUP_SECONDS)
    seconds: list[float] = []
    while len(seconds) < sequences_least or sum(seconds) < seconds_least:
        seconds.append(sequences(1))
        if sum(seconds) >= protocol.max_seconds:
            break
    return seconds


def _sample(take: Callable[[], float], protocol: SpeedProtocol) -> tuple[list[float], str]:
    """Return the samples, and which of the stopping rules ended them."""
    samples: list[float] = []
    start = time.perf_counter()
    while True:
        samples.append(take())
        elapsed = time.perf_counter() - start
        if elapsed >= protocol.max_seconds:
            return samples, f"{protocol.max_seconds:g} s passed"
        if samples[0] > LONG_SEQUENCE_SECONDS and len(samples) >= LONG_SEQUENCE_SAMPLES:
            return samples, f"{LONG_SEQUENCE_SAMPLES} samples of over {LONG_SEQUENCE_SECONDS:g} s"
        if len(samples) < protocol.min_samples or elapsed < protocol.min_seconds:
            continue
        if len(samples) >= protocol.max_samples:
            return samples, f"{protocol.max_samples} samples taken"
        interval = median_interval(samples)
        if interval.high - interval.low <= 2 * protocol.precision * interval.estimate:
            return samples, f"median known within {protocol.precision:.0%}"


def _preemptions() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _flags(samples: list[float], preemptions: int) -> list[str]:
    """Return what makes these samples weak, in words; nothing is deleted because of it."""
    flags = []
    middle = statistics.median(samples)
    outliers = sum(sample > OUTLIER * middle for sample in samples)
    if outliers:
        flags.append(f"{outliers} of {len(samples)} samples above {OUTLIER:g} times the median")
    half = len(samples) // 2
    if half:
        early, late = statistics.median(samples[:half]), statistics.median(samples[half:])
        if abs(late / early - 1) > TREND:
            flags.append(f"the second half took {late / early:.2f} times the first half's time")
    cores = len(os.sched_getaffinity(0))
    if torch.get_num_threads() > cores:
        flags.append(f"{torch.get_num_threads()} threads shared {cores} cores")
    if preemptions > len(samples):
        flags.append(f"preempted {preemptions} times while sampling")
    return flags
