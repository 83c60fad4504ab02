"""A small sweep that never ran: deterministic records of every status and measurement."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from harness.trial import PASSES, Choice, Implementation, Record, Trial

HIDDEN, BATCH, STARTED = 64, 16, 1_760_000_000.0
SPEED_OF = {"full_bptt": 1.0, "native": 0.35, "truncated_bptt(16,16)": 0.9}
SPEED_OF |= {"checkpointed(32)": 1.35, "full_bptt + norm(1.0)": 1.02}
KEPT_OF = {"native": 0.8, "truncated_bptt(16,16)": 0.1, "checkpointed(32)": 0.25}
PARTS = {"elman": 1, "lstm": 2}
ENVIRONMENT = {
    "host": "bench-01",
    "platform": "Linux-6.8-x86_64",
    "cpu_model": "Example CPU @ 3.00GHz",
    "cores": 2,
    "memory_bytes": 8 * 2**30,
    "gpu": None,
    "python": "3.11.9",
    "torch": "2.13.0",
    "ray": "2.60.0",
    "numpy": "2.4.6",
    "blas": "mkl",
    "cuda": None,
    "commit": "0123abc",
    "dirty": False,
    "threads": 1,
    "affinity": [0, 1],
    "niceness": 0,
    "governor": "performance",
    "load": 0.4,
    "variables": {"OMP_NUM_THREADS": "1"},
}
IMPLEMENTATIONS = (
    Implementation(Choice("full_bptt"), (), "full_bptt", baseline=True),
    Implementation(Choice("native"), (), "native"),
    Implementation(
        Choice("truncated_bptt", {"stride": 16, "depth": 16}), (), "truncated_bptt(16,16)"
    ),
    Implementation(Choice("checkpointed", {"segment": 32}), (), "checkpointed(32)"),
    Implementation(
        Choice("full_bptt"), (Choice("norm", {"max_norm": 1.0}),), "full_bptt + norm(1.0)"
    ),
)


@dataclass(frozen=True, slots=True)
class Grid:
    """What the fake sweep spans."""

    lengths: Sequence[int] = (32, 64, 128, 256)
    cells: Sequence[str] = ("elman", "lstm")
    tasks: Sequence[str] = ("adding", "speeches")
    blocks: int = 3
    measurements: Sequence[str] = PASSES
    node: str = "bench-01"
    device: str = "cpu"


def trials(grid: Grid) -> Iterator[Trial]:
    """Yield the trials of the grid in a fixed order."""
    axes = (range(grid.blocks), grid.cells, grid.tasks, grid.lengths, IMPLEMENTATIONS)
    for block, cell, task, length, implementation in product(*axes):
        for measurement in grid.measurements:
            yield trial(measurement, implementation, cell, task, length, block, grid.device)


def trial(
    measurement: str = "speed",
    implementation: Implementation = IMPLEMENTATIONS[0],
    cell: str = "lstm",
    task: str = "adding",
    length: int = 64,
    block: int = 0,
    device: str = "cpu",
) -> Trial:
    """Return one trial; whatever is not named is the same for all."""
    return Trial(
        measurement,
        implementation,
        Choice(cell),
        Choice(task),
        length,
        HIDDEN,
        BATCH,
        device,
        "float32",
        threads=1,
        update="sequence",
        optimizer="adam",
        learning_rate=0.001,
        block=block,
        seed=0,
    )


def record(of: Trial, node: str = "bench-01", **changes: Any) -> Record:
    """Return what the trial gave: plausible numbers, the same every time."""
    made = Record(
        of,
        "done",
        values=values(of),
        environment={**ENVIRONMENT, "host": node},
        started=STARTED,
        ended=STARTED + 60.0,
        node=node,
    )
    return replace(made, **changes)


def records(grid: Grid = Grid()) -> list[Record]:  # frozen
    """Return one record a trial, all done."""
    return [record(of, grid.node) for of in trials(grid)]


CROWD = {"exact": 9, "truncated": 5, "unbiased": 5, "approximate": 6}  # with the baseline 25
CLAIMS = {"exact": "exact", "truncated": "biased", "unbiased": "unbiased", "approximate": "biased"}


def names(kind: str) -> list[str]:
    """Return the implementations of a kind in the crowd, without the baseline."""
    return [f"{kind} {i}" for i in range(2 if kind == "exact" else 1, CROWD[kind] + 1)]


def crowd(grid: Grid) -> list[Record]:
    """Return the sweep with 25 series of four kinds, each slower and smaller than the one before.

    The baseline stays; every other series is a copy of it with factors of its own.
    """
    base = [one for one in records(grid) if one.trial.implementation.baseline]
    made = list(base)
    places = [(kind, name) for kind in CROWD for name in names(kind)]
    for place, (kind, name) in enumerate(places):
        implementation = Implementation(Choice("native"), (), name)
        for one in base:
            of = replace(one.trial, implementation=implementation)
            made.append(replace(one, trial=of, values=_changed(one.values, of, kind, place)))
    return made


def _changed(values: dict[str, Any], of: Trial, kind: str, place: int) -> dict[str, Any]:
    slower, smaller = 0.3 * 1.15**place, 0.9**place
    if of.measurement == "speed":
        samples = [slower * sample for sample in values["sample_seconds"]]
        return {**values, "sample_seconds": samples}
    if of.measurement == "memory":
        return {**values, "peak_bytes": int(smaller * values["peak_bytes"])}
    if of.measurement == "gradients":
        error = 3e-14 if kind == "exact" else 0.05 * (1 + place)
        made = {**values, "claim": CLAIMS[kind], "relative_error": error, "truncation_bias": None}
        made["cosine"] = 1.0 if kind == "exact" else 1 / (1 + error)
        made["reach"] = of.sequence_length - 1 if kind == "exact" else None
        made["agrees"] = None if kind == "approximate" else True  # there is nothing to compare with
        return {**made, "reach": 4 * place} if kind == "truncated" else made
    return {**values, "score": [score * (1 + 0.01 * place) for score in values["score"]]}


def with_failures(grid: Grid = Grid()) -> list[Record]:  # frozen
    """Return the sweep with one record of every status that is not `done`."""
    made = records(grid)
    reasons = {
        "oom": ("asked 2.1 GiB, 1.3 GiB free", "shorten T, or use checkpointed"),
        "timeout": ("over the limit of 600 s", "raise limits.trial_timeout"),
        "crashed": ("the process died of signal 11", "bptt sweep --rerun status=crashed"),
        "failed": ("ValueError: <script>alert(1)</script> is no shape", "this is a bug: report it"),
        "skipped": ("norm_hidden needs hidden gradients; native shows none", "use full_bptt"),
        "nonfinite": ("loss was NaN from update 17", "clip the gradient, or lower the rate"),
    }
    longest = [i for i, one in enumerate(made) if one.trial.sequence_length == max(grid.lengths)]
    for place, (status, (reason, advice)) in zip(longest[7::5], reasons.items(), strict=False):
        values = {"flags": []} if status == "nonfinite" else {}
        made[place] = replace(
            made[place], status=status, reason=reason, advice=advice, values=values
        )
    return made


def values(of: Trial) -> dict[str, Any]:
    """Return a measurement's values as worker.run would give them."""
    makers = {"speed": _speed, "memory": _memory, "gradients": _gradients, "training": _training}
    seed = int(of.id, 16) % 2**32
    return makers[of.measurement](of, np.random.default_rng(seed))


def _speed(of: Trial, random: np.random.Generator) -> dict[str, Any]:
    label, steps = of.implementation.label, of.sequence_length
    seconds = SPEED_OF.get(label, 1.0) * (0.0003 + 60e-6 * steps) * PARTS.get(of.cell.use, 1)
    seconds *= 1 + 0.01 * random.standard_normal()
    samples = seconds * (1 + 0.006 * np.abs(random.standard_normal(20)))
    share = {"forward": 0.36, "backward": 0.55, "clip": 0.0, "optimizer": 0.09}
    if of.implementation.clips:
        share["clip"] = 0.02
    updates = math.ceil(steps / 16) if "truncated" in label else 1
    return {
        "first_seconds": seconds * 4,
        "warmup_seconds": [seconds * 1.1] * 3,
        "sample_seconds": samples.tolist(),
        "sequences_per_sample": 1,
        "stop_reason": "median within 1 %",
        "updates_per_sequence": updates,
        "flags": ["trend"] if of.block == 1 and label == "native" else [],
        "phase_seconds": {name: seconds * part for name, part in share.items()},
        "floor_seconds": (samples[:8] / SPEED_OF.get(label, 1.0) * 0.22).tolist(),
        "theory": {"flops": 6e4 * steps * HIDDEN, "kept_bytes": 1e5, "sequential_depth": 2 * steps},
        "threads_in_force": 1,
        "load_before": 0.4,
        "load_after": 0.5,
    }


def _memory(of: Trial, random: np.random.Generator) -> dict[str, Any]:
    label, steps = of.implementation.label, of.sequence_length
    share = KEPT_OF.get(label, 1.0)
    kept = 7 * PARTS.get(of.cell.use, 1) * BATCH * HIDDEN * 4 * steps * share
    if "truncated" in label:
        kept = 7 * BATCH * HIDDEN * 4 * 16
    theory = kept / (1.12 if label == "native" else 1.0)
    return {
        "static_bytes": 300_000,
        "batch_bytes": steps * BATCH * 16,
        "kept_bytes": int(kept),
        "peak_bytes": int(kept * 1.08 + 300_000 + steps * BATCH * 16),
        "resident_peak_bytes": None,
        "theory": {"flops": 1e9, "kept_bytes": theory, "sequential_depth": steps},
    }


def _gradients(of: Trial, random: np.random.Generator) -> dict[str, Any]:
    label, steps = of.implementation.label, of.sequence_length
    biased = "truncated" in label
    rate = 0.97 if of.cell.use == "lstm" else 0.82
    lags = sorted({round(x) for x in np.geomspace(1, steps, 40)} | {0})
    profile = [rate**lag * 0.02 for lag in lags]
    cosine = 0.71 + 0.2 * 32 / steps if biased else 1.0
    figures = {"relative_error": 0.6 if biased else 3e-14, "cosine": cosine}
    figures["norm_ratio"] = 0.8 * (32 / steps) ** 0.2 if biased else 1.0
    return {
        "claim": "biased" if biased else "exact",
        "agrees": True,
        "tolerance": 1e-10,
        "exact_norm": 0.4,
        **figures,
        "groups": {"cell.weight_hh": dict(figures)},
        "applied": dict(figures),
        "dtype_relative_error": 2e-7,
        "reach": 16 if biased else steps - 1,
        "truncation_bias": {
            "lags": [lag for lag in lags if lag],
            "relative_error": [0.9 * rate**lag for lag in lags if lag],
            "cosine": [1 - 0.5 * rate**lag for lag in lags if lag],
        },
        "lag_profile": {
            "lag": lags,
            "median": profile,
            "lower": [x * 0.6 for x in profile],
            "upper": [x * 1.5 for x in profile],
        },
        "horizon_90": 40,
        "horizon_99": 80,
        "verdict": "stable" if of.cell.use == "lstm" else "vanishing",
        "rule": "the norm at lag 64 is under 1 % of that at lag 0",
    }


def _training(of: Trial, random: np.random.Generator) -> dict[str, Any]:
    label, steps = of.implementation.label, of.sequence_length
    trivial = 1 / 6 if of.task.use == "adding" else 4.1
    name = "mean squared error" if of.task.use == "adding" else "bits per character"
    seen = np.linspace(0, 200, 40)
    pace = 40 if "truncated" not in label else 90
    noise = 1 + 0.03 * random.standard_normal(40)
    loss = trivial * (0.35 + 0.75 * np.exp(-seen / pace * 32 / steps * 4)) * noise
    evaluated = list(range(0, 201, 20))
    score = np.interp(evaluated, seen, loss)
    norms = 0.8 * np.exp(0.4 * random.standard_normal(100))
    clipped = np.minimum(norms, 1.0) if of.implementation.clips else norms
    return {
        "sequence": [float(x) for x in seen],
        "loss": loss.tolist(),
        "evaluated_at": evaluated,
        "score": score.tolist(),
        "seconds": [0.1 * x for x in evaluated],
        "update": list(range(1, 201, 2)),
        "norm_before": norms.tolist(),
        "norm_after": clipped.tolist(),
        "updates": 200,
        "clipped_fraction": float((norms > 1).mean()) if of.implementation.clips else 0.0,
        "nonfinite_updates": 0,
        "first_nonfinite_update": None,
        "score_name": name,
        "score_better": "lower",
        "trivial_score": trivial,
        "trivial_formula": "1/6" if of.task.use == "adding" else "entropy of the unigram",
        "solved_score": trivial * 0.3,
        "solved_at": None,
        "final_score": float(score[-1]),
        "parameters": 21_000,
    }
