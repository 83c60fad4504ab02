"""How many seconds each measurement takes, from those of a sequence: what it runs, how often."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from harness.trial import GradientsProtocol, SpeedProtocol, TrainingProtocol, Trial

FORWARD_SHARE = 1 / 3  # of a sequence's work: a backward pass has two products for each one
SPREAD = 0.02  # of a process's samples, typically; what is seen corrects it
Z95 = 1.96
MEDIAN_LOSS = math.sqrt(math.pi / 2)  # a median's standard error over the mean's
FLOOR_SHARE = 0.15  # of a sequence: the bare products, in the reference run
LOOK_SECONDS = 0.03  # at what else runs, before and after
MEMORY_SEQUENCES = 9.0  # three, traced event by event: three times as slow
GRADIENT_SEQUENCES = 4.0  # the method bare, applied and in its dtype; the oracle and its lags
LAG_STEPS = 20_000  # of adjoints, beyond which the lags of the gradient are not taken apart
MOST_PARTS = 2  # tensors in a state: a direction each for so many times H numbers
DIRECTION_SEQUENCES = 1.0  # full BPTT took 0.5 to 1.3 times as long (LSTM, H = 16 and 64)
LAG_SHARE = 0.5  # of a sequence's two passes: the lags need the way back alone
WIDER = 0.5  # a wider batch costs less than in proportion while overhead rules a step


def seconds(trial: Trial, own: float, plain: float, flops: float, updates: int = 1) -> float:
    """Return the trial's seconds once its process is there.

    A sequence takes `own` and `flops` by the trial's method, `plain` by full BPTT step by step;
    training makes so many `updates` on it.
    """
    return _INSIDE[trial.measurement](trial, own, plain, flops, updates)


def _speed(trial: Trial, sequence: float, plain: float, flops: float, updates: int) -> float:
    protocol = SpeedProtocol(**trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    runs, least = protocol.warmup_sequences, protocol.warmup_seconds
    if trial.device != "cpu":
        runs, least = protocol.gpu_warmup_sequences, protocol.gpu_warmup_seconds
    warm = max(runs, math.ceil(least / sequence))
    warm_seconds = min(warm * sequence, protocol.max_seconds + sequence)
    phases = min(protocol.phase_sequences * sequence, protocol.phase_seconds + sequence)
    floor = FLOOR_SHARE * sequence
    floors = (2 + protocol.floor_samples * _runs(protocol, floor)) * floor
    return LOOK_SECONDS + sequence + warm_seconds + _sampling(protocol, sequence) + phases + floors


def _sampling(protocol: SpeedProtocol, sequence: float) -> float:
    """Return how long samples are taken: until the median's interval is narrow, within bounds."""
    sample = sequence * _runs(protocol, sequence)
    if sample > protocol.long_seconds:
        return protocol.long_samples * sample
    wanted = (Z95 * MEDIAN_LOSS * SPREAD / protocol.precision) ** 2 * sample
    least = max(protocol.min_samples * sample, protocol.min_seconds)
    most = min(protocol.max_samples * sample, protocol.max_seconds)
    return max(min(max(wanted, least), most), protocol.long_samples * sample)


def _runs(protocol: SpeedProtocol, seconds: float) -> int:
    """Return how many runs of so many seconds a sample holds."""
    return max(1, math.ceil(protocol.min_sample_seconds / seconds))


def _memory(trial: Trial, own: float, plain: float, flops: float, updates: int) -> float:
    return MEMORY_SEQUENCES * own


def _gradients(trial: Trial, own: float, plain: float, flops: float, updates: int) -> float:
    length = trial.sequence_length
    lags = length / 4 if length * length / 2 <= LAG_STEPS else 0.0  # T²/2 steps at 2T a sequence
    asked = GradientsProtocol(**trial.protocol).lyapunov_exponents or 0  # type: ignore[arg-type]  # TOML's numbers
    directions = min(asked, MOST_PARTS * trial.hidden_size)
    spectrum = DIRECTION_SEQUENCES * directions * plain
    return GRADIENT_SEQUENCES * (own + plain) + LAG_SHARE * lags * plain + spectrum


def _training(trial: Trial, own: float, plain: float, flops: float, updates: int) -> float:
    protocol = TrainingProtocol(**trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    wider = math.pow(max(1.0, protocol.evaluation_sequences / trial.batch_size), WIDER)
    scored = (protocol.evaluations + 1) * protocol.evaluation_batches * wider * FORWARD_SHARE
    return _sequences(protocol, own, flops, updates) * own + scored * plain


def _sequences(protocol: TrainingProtocol, own: float, flops: float, updates: int) -> float:
    """Return how many sequences use up the first of the budgets."""
    most = [float(protocol.sequences)]
    if protocol.budget_updates is not None:
        most.append(float(math.ceil(protocol.budget_updates / updates)))
    if protocol.budget_seconds is not None:
        most.append(protocol.budget_seconds / own)
    if protocol.budget_flops is not None:
        most.append(protocol.budget_flops / flops)
    return max(1.0, min(most))


def _capacity(trial: Trial, own: float, plain: float, flops: float, updates: int) -> float:
    return float(trial.protocol["max_seconds"])  # at most


_INSIDE: Mapping[str, Callable[[Trial, float, float, float, int], float]] = {
    "speed": _speed,
    "memory": _memory,
    "gradients": _gradients,
    "training": _training,
    "capacity": _capacity,
}
