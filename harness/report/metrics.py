"""What each number means: one table of metrics, and one tidy row per trial.

The frame holds base units (seconds, bytes, shares of 1) under keys that name them; its index is
the record's place in the sequence it was made from. `units.py` is the only writer of units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import pandas as pd

from harness.report.kinds import kinds
from harness.report.places import places
from harness.report.readings import READERS, Row
from harness.report.units import BYTES, COSINE, COUNT, FLOPS, PLAIN, RATIO, SECONDS, SHARE, Unit
from harness.trial import Record, Trial


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a trial: where it stands in the frame, and how it is shown."""

    key: str  # the frame's column, in base units; also the heading in a CSV
    label: str  # the heading and axis label a reader sees
    unit: Unit
    better: Literal["lower", "higher", ""] = ""

    def text(self, value: float | int) -> str:
        """Return the number as a reader sees it."""
        return self.unit.text(value)


METRICS: tuple[Metric, ...] = (
    Metric("seconds_per_sequence", "time per sequence", SECONDS, "lower"),
    Metric("seconds_per_step", "time per step", SECONDS, "lower"),  # of one of the B sequences
    Metric("seconds_per_update", "time per update", SECONDS, "lower"),
    Metric("first_seconds", "first sequence", SECONDS, "lower"),
    Metric("floor_seconds", "matrix products alone", SECONDS),
    Metric("floor_ratio", "time / floor", RATIO, "lower"),
    Metric("forward_seconds", "forward", SECONDS, "lower"),
    Metric("backward_seconds", "backward", SECONDS, "lower"),
    Metric("clip_seconds", "clip", SECONDS, "lower"),
    Metric("optimizer_seconds", "optimizer", SECONDS, "lower"),
    Metric("samples", "samples", COUNT),
    Metric("noise", "noise", SHARE, "lower"),  # half the median's interval, over the median
    Metric("load_before", "load before", PLAIN),
    Metric("theory_flops", "theory: work", FLOPS),
    Metric("theory_depth", "theory: steps in sequence", COUNT),
    Metric("static_bytes", "static", BYTES, "lower"),
    Metric("batch_bytes", "batch", BYTES, "lower"),
    Metric("kept_bytes", "kept for backward", BYTES, "lower"),
    Metric("peak_bytes", "peak memory", BYTES, "lower"),
    Metric("kept_bytes_per_step", "kept per step", BYTES, "lower"),
    Metric("peak_bytes_per_step", "peak per step", BYTES, "lower"),  # what a step more adds to it
    Metric("resident_peak_bytes", "resident peak", BYTES, "lower"),
    Metric("reserved_peak_bytes", "reserved peak", BYTES, "lower"),
    Metric("theory_static_bytes", "theory: static", BYTES),
    Metric("theory_kept_bytes", "theory: kept", BYTES),
    Metric("theory_kept_bytes_per_step", "theory: kept per step", BYTES),
    Metric("theory_peak_bytes", "theory: peak", BYTES),  # static + batch + what the passes hold
    Metric("theory_peak_bytes_per_step", "theory: peak per step", BYTES),
    Metric("longest_length", "longest that fits", COUNT, "higher"),
    Metric("predicted_length", "theory: longest", COUNT),
    Metric("cap_bytes", "memory cap", BYTES),
    Metric("cosine", "gradient cosine", COSINE, "higher"),
    Metric("relative_error", "relative error", PLAIN, "lower"),
    Metric("norm_ratio", "gradient norm / exact norm", RATIO),
    Metric("applied_cosine", "cosine after clips", COSINE, "higher"),
    Metric("bias_squared", "bias² / exact norm²", PLAIN, "lower"),  # of an unbiased method
    Metric("bias_squared_low", "bias², low", PLAIN),
    Metric("bias_squared_high", "bias², high", PLAIN),
    Metric("noise_to_signal", "noise² / exact norm²", PLAIN, "lower"),
    Metric("noise_to_signal_low", "noise², low", PLAIN),
    Metric("noise_to_signal_high", "noise², high", PLAIN),
    Metric("dtype_relative_error", "error from dtype", PLAIN, "lower"),
    Metric("reach_steps", "reach", COUNT, "higher"),
    Metric("horizon_90_steps", "90 % horizon", COUNT),
    Metric("horizon_99_steps", "99 % horizon", COUNT),
    Metric("half_life_steps", "half-life", COUNT),
    Metric("lyapunov", "Lyapunov exponent", PLAIN),  # the largest, in nats a step
    Metric("positive_exponents", "directions that grow", COUNT),  # exponents above 0
    Metric("lyapunov_exponents", "exponents measured", COUNT),
    Metric("lyapunov_sum", "sum of the exponents", PLAIN),  # of the medians, as many as asked
    Metric("trained_lyapunov", "Lyapunov exponent, trained", PLAIN),
    Metric("spike_max", "largest gradient / median", RATIO, "lower"),
    Metric("spike_999", "99.9 % gradient / median", RATIO, "lower"),
    Metric("final_score", "final score", PLAIN),
    Metric("trivial_score", "trivial predictor", PLAIN),
    Metric("solved_score", "solved from", PLAIN),
    Metric("solved_at_sequence", "solved at sequence", COUNT, "lower"),
    Metric("solved_at_update", "solved at update", COUNT, "lower"),
    Metric("solved_after_seconds", "training time to solved", SECONDS, "lower"),
    Metric("clipped_share", "updates clipped", SHARE),
    Metric("clipped_norm_ratio", "norm after / before the cut", RATIO),
    Metric("updates", "updates", COUNT),
    Metric("updates_per_sequence", "updates per sequence", COUNT),
    Metric("nonfinite_updates", "non-finite updates", COUNT, "lower"),
    Metric("first_nonfinite_update", "first non-finite update", COUNT),
    Metric("first_nonfinite_step", "first non-finite step", COUNT),  # t, of its sequence
    Metric("training_seconds", "training time, shared machine", SECONDS),
    Metric("training_flops", "training work", FLOPS),  # by the method's own formula
    Metric("parameters", "parameters", COUNT),
)
BY_KEY: Mapping[str, Metric] = MappingProxyType({metric.key: metric for metric in METRICS})

IDENTITY = [
    "id",
    "results",
    "status",
    "reason",
    "advice",
    "implied_by",  # of an oom that was not run: the trial that did run out of memory
    "measurement",
    "block",
    "replica",  # above 0: the A/A copy, which is no series of its own
    "implementation",
    "gradient",
    "clips",
    "baseline",
    "cell",
    "task",
    "sequence_length",
    "hidden_size",
    "batch_size",
    "device",
    "dtype",
    "threads",
    "update",
    "optimizer",
    "learning_rate",
    "node",
]
WORDS = [
    "kind",  # of the implementation, by all of its claims
    "claim",
    "agrees",
    "verdict",
    "rule",
    "score_name",
    "score_better",
    "trivial_formula",
    "first_nonfinite_place",
    "flags",
    "stop_reason",
]
COLUMNS: tuple[str, ...] = (*IDENTITY, *WORDS, *BY_KEY)


def frame(records: Sequence[Record], results: str = "") -> pd.DataFrame:
    """Return one row per record; `results` names the folder that they came from."""
    rows = [
        {**_row(record, results), "node": place}
        for record, place in zip(records, places(records), strict=True)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    sizes = ("sequence_length", "hidden_size", "batch_size", "threads", "block", "replica")
    whole = dict.fromkeys(sizes, int)
    table["kind"] = table["implementation"].map(kinds(table))
    return table.astype({**dict.fromkeys(BY_KEY, float), **whole, "baseline": bool}).copy()


def _row(record: Record, results: str) -> Row:
    trial = record.trial
    row = _identity(trial)
    row |= {"results": results, "status": record.status, "reason": record.reason}
    row |= {"advice": record.advice, "implied_by": record.values.get("implied_by", "")}
    if record.values:
        row |= READERS[trial.measurement](record.values, trial)
    return row


def _identity(trial: Trial) -> Row:
    implementation = trial.implementation
    return {
        "id": trial.id,
        "measurement": trial.measurement,
        "block": trial.block,
        "replica": trial.replica,
        "implementation": implementation.label or str(implementation.gradient),
        "gradient": str(implementation.gradient),
        "clips": " + ".join(map(str, implementation.clips)),
        "baseline": implementation.baseline,
        "cell": str(trial.cell),
        "task": str(trial.task),
        "sequence_length": trial.sequence_length,
        "hidden_size": trial.hidden_size,
        "batch_size": trial.batch_size,
        "device": trial.device,
        "dtype": trial.dtype,
        "threads": trial.threads,
        "update": trial.update,
        "optimizer": trial.optimizer,
        "learning_rate": trial.learning_rate,
    }
