"""What the values of each measurement are as columns of the frame, in base units.

A value that is missing, as in records of before it was measured, is a missing number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from harness.stats import median_interval
from harness.trial import Trial

Values = Mapping[str, Any]
Row = dict[str, Any]

PHASES = ("forward", "backward", "clip", "optimizer")


def _speed(values: Values, trial: Trial) -> Row:
    seconds = _median(values.get("sample_seconds"))
    floor = _median(values.get("floor_seconds"))
    phases = values.get("phase_seconds") or {}
    return {
        "seconds_per_sequence": seconds,
        "seconds_per_step": seconds / (trial.sequence_length * trial.batch_size),
        "seconds_per_update": seconds / (values.get("updates_per_sequence") or math.nan),
        "updates_per_sequence": _float(values.get("updates_per_sequence")),
        "first_seconds": _float(values.get("first_seconds")),
        "floor_seconds": floor,
        "floor_ratio": seconds / floor,
        "samples": len(values.get("sample_seconds") or ()),
        "noise": _noise(values.get("sample_seconds")),
        "load_before": _float(values.get("load_before")),
        "theory_flops": _theory(values, "flops"),
        "theory_depth": _theory(values, "sequential_depth"),
        "flags": "; ".join(values.get("flags") or ()),
        "stop_reason": values.get("stop_reason"),
        **{f"{name}_seconds": _float(phases.get(name)) for name in PHASES},
    }


def _memory(values: Values, trial: Trial) -> Row:
    names = ["static_bytes", "batch_bytes", "kept_bytes", "peak_bytes", "resident_peak_bytes"]
    names += ["kept_bytes_per_step", "peak_bytes_per_step", "reserved_peak_bytes"]
    names += ["theory_static_bytes", "theory_kept_bytes_per_step", "theory_peak_bytes_per_step"]
    row = {name: _float(values.get(name)) for name in names}
    kept, peak = _theory(values, "kept_bytes"), _float(values.get("theory_peak_bytes"))
    if math.isnan(peak):  # a record of before it was kept
        peak = row["static_bytes"] + row["batch_bytes"] + kept
    flags = "; ".join(values.get("flags") or ())
    return {**row, "theory_kept_bytes": kept, "theory_peak_bytes": peak, "flags": flags}


def _capacity(values: Values, trial: Trial) -> Row:
    names = ["longest_length", "predicted_length", "cap_bytes"]
    row: Row = {name: _float(values.get(name)) for name in names}
    return {**row, "stop_reason": values.get("bounded_by")}


def _gradients(values: Values, trial: Trial) -> Row:
    names = ["cosine", "relative_error", "norm_ratio", "dtype_relative_error"]
    return {
        **{name: _float(values.get(name)) for name in names},
        "applied_cosine": _float((values.get("applied") or {}).get("cosine")),
        "reach_steps": _float(values.get("reach")),
        "horizon_90_steps": _float(values.get("horizon_90")),
        "horizon_99_steps": _float(values.get("horizon_99")),
        "half_life_steps": _float(values.get("half_life")),
        "lyapunov": _float((values.get("lyapunov") or {}).get("median")),
        **_spectrum(values.get("lyapunov_spectrum")),
        **_scatter(values.get("scatter")),
        **{name: values.get(name) for name in ("claim", "agrees", "verdict", "rule")},
    }


def _spectrum(spectrum: Values | None) -> Row:
    """Return how many exponents there are, how many are above 0, and their sum."""
    if not spectrum:
        return {}
    exponents = [_float(one) for one in spectrum["median"]]
    return {
        "lyapunov_exponents": len(exponents),
        "positive_exponents": sum(one > 0 for one in exponents),
        "lyapunov_sum": sum(exponents),
    }


def _scatter(scatter: Values | None) -> Row:
    """Return a stochastic method's bias and noise with the ends of their intervals."""
    ends = {"": "estimate", "_low": "low", "_high": "high"}
    found = {name: (scatter or {}).get(name) or {} for name in ("bias_squared", "noise_to_signal")}
    return {
        f"{name}{end}": _float(interval.get(key))
        for name, interval in found.items()
        for end, key in ends.items()
    }


def _training(values: Values, trial: Trial) -> Row:
    plain = ["final_score", "trivial_score", "solved_score", "updates", "nonfinite_updates"]
    plain += ["first_nonfinite_update", "first_nonfinite_step", "spike_max", "spike_999"]
    plain += ["parameters"]
    words = ["score_name", "score_better", "trivial_formula", "first_nonfinite_place"]
    words += ["stop_reason"]
    evaluated = values.get("evaluated_at") or [0]
    seconds = values.get("seconds") or [math.nan]
    sequences = float(values.get("sequences") or evaluated[-1] or math.nan)
    updates_per_sequence = _float(values.get("updates")) / sequences
    solved = values.get("solved_at")
    return {
        **{name: _float(values.get(name)) for name in plain},
        **{name: values.get(name) for name in words},
        "solved_at_sequence": _float(solved),
        "solved_at_update": _float(solved) * updates_per_sequence,
        "solved_after_seconds": math.nan if solved is None else seconds[evaluated.index(solved)],
        "clipped_share": _float(values.get("clipped_fraction")),
        "clipped_norm_ratio": _float((values.get("clipped_norm_ratio") or {}).get("median")),
        "trained_lyapunov": _float((values.get("lyapunov") or {}).get("median")),
        "updates_per_sequence": updates_per_sequence,
        "training_seconds": _float(seconds[-1]),
        "training_flops": sequences * _float(values.get("flops_per_sequence")),
    }


READERS: Mapping[str, Callable[[Values, Trial], Row]] = MappingProxyType(
    {
        "speed": _speed,
        "memory": _memory,
        "gradients": _gradients,
        "training": _training,
        "capacity": _capacity,
    }
)


def _float(value: float | int | None) -> float:
    return math.nan if value is None else float(value)


def _finite(samples: Sequence[float | int | None] | None) -> list[float]:
    return [value for value in map(_float, samples or ()) if math.isfinite(value)]


def _median(samples: Sequence[float | int | None] | None) -> float:
    finite = _finite(samples)
    return float(np.median(finite)) if finite else math.nan


def _noise(samples: Sequence[float | int | None] | None) -> float:
    finite = _finite(samples)
    if len(finite) < 2:
        return math.nan
    interval = median_interval(finite)
    return (interval.high - interval.low) / 2 / interval.estimate


def _theory(values: Values, name: str) -> float:
    return _float((values.get("theory") or {}).get(name))
