"""Trial and record as frozen data, to and from JSON: the bridge from measuring to reporting.

Needs neither torch nor Ray, so a report can be rebuilt on a laptop years later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

SCHEMA = 1  # of a record; raised when a reader of the last one would misread this one

Measurement = Literal["speed", "memory", "gradients", "training", "capacity"]
Status = Literal["done", "skipped", "oom", "timeout", "crashed", "failed", "nonfinite"]
MEASUREMENTS: tuple[str, ...] = get_args(Measurement)
PASSES: tuple[Measurement, ...] = (
    "speed",
    "memory",
    "gradients",
    "training",
)  # where none is named
STATUSES: tuple[str, ...] = get_args(Status)
ID_DIGITS = 12  # hex digits: 48 bits, one collision expected in 10^7 trials at odds under 20 %


@dataclass(frozen=True, slots=True)
class Choice:
    """A plugin and its parameters: `truncated_bptt(stride=16, depth=64)`."""

    use: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.use}({inside})" if inside else self.use


@dataclass(frozen=True, slots=True)
class Implementation:
    """One series in the plots: a gradient method and the clips applied to it."""

    gradient: Choice
    clips: tuple[Choice, ...] = ()
    label: str = ""  # how plots call it
    baseline: bool = False  # ratios are against this one


@dataclass(frozen=True, slots=True)
class Limits:
    """When a trial is ended. Not part of what it measures, so not of its id.

    On a CPU memory is the data that the trial adds to what its process began with; on a GPU what
    torch's allocator reserves of the device, tensors and what it keeps to use again.
    """

    seconds: float = 600.0
    memory_bytes: int | None = None  # None: a CPU's node keeps a tenth free, a GPU gives it all


@dataclass(frozen=True, slots=True)
class SpeedProtocol:
    """How long a speed trial goes on (MEASURING: defaults of pyperf, nvbench and criterion)."""

    warmup_sequences: int = 3
    warmup_seconds: float = 1.0
    gpu_warmup_sequences: int = 10  # clocks rise more slowly there, and kernels are chosen
    gpu_warmup_seconds: float = 2.0
    min_samples: int = 10
    min_seconds: float = 0.5
    max_samples: int = 100
    max_seconds: float = 20.0  # of samples, and of warm-up
    long_seconds: float = 2.0  # from here on a sequence needs only
    long_samples: int = 3  # so many samples; fewer have no median, of any run
    precision: float = 0.01  # stop once the median's 95 % interval is this narrow, relatively
    min_sample_seconds: float = 0.01
    min_sample_clocks: int = 10_000  # times what reading the clock costs: 1e-4 of a sample
    floor_samples: int = 5  # enough for a median; the floor's own noise is recorded with them
    phase_sequences: int = 5  # of the separate run that splits a sequence's time
    phase_seconds: float = 1.0  # after which none of them begins


@dataclass(frozen=True, slots=True)
class MemoryProtocol:
    """A memory trial is exact; it has nothing to set."""


@dataclass(frozen=True, slots=True)
class GradientsProtocol:
    """A gradients trial is one comparison with the oracle, and for a stochastic method many."""

    draws: int = 32  # of an unbiased method: its noise is then known within about a quarter
    lyapunov_exponents: int | None = None  # at most as many as there are; None: the largest alone


@dataclass(frozen=True, slots=True)
class TrainingProtocol:
    """How long a training trial goes on, and how often it is scored.

    It ends after the sequence with which the first of its budgets is used up.
    """

    sequences: int = 200
    evaluations: int = 10
    evaluation_sequences: int = 128  # side by side; the score's own error falls as 1/√n
    evaluation_batches: int = 2  # of a stateful task one after the other, the state carried on
    budget_updates: int | None = None  # None: no such budget, here and below
    budget_seconds: float | None = None  # of training alone: scoring costs nothing
    budget_flops: float | None = None  # by the method's own formula


@dataclass(frozen=True, slots=True)
class CapacityProtocol:
    """How closely the longest length that fits is looked for, and for how long."""

    precision: float = 0.01  # of the length: memory is no steadier from one version to the next
    max_seconds: float = 300.0


PROTOCOLS: dict[str, type] = {
    "speed": SpeedProtocol,
    "memory": MemoryProtocol,
    "gradients": GradientsProtocol,
    "training": TrainingProtocol,
    "capacity": CapacityProtocol,
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One point of a sweep, in one block, under one measurement: names and numbers only."""

    measurement: str  # Measurement
    implementation: Implementation
    cell: Choice
    task: Choice
    sequence_length: int
    hidden_size: int
    batch_size: int
    device: str  # "cpu", "cuda", or a kind of the latter: "cuda:H100"
    dtype: str
    threads: int
    update: str  # "window" or "sequence": when parameters move
    optimizer: str
    learning_rate: float
    block: int
    seed: int  # of the sweep; with `block` it fixes weights and batches
    protocol: Mapping[str, int | float] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)  # "gradients/native" -> sha256
    plugins: tuple[str, ...] = ()  # files named in the sweep or by --plugin
    limits: Limits = Limits()
    replica: int = (
        0  # 1: the A/A copy, timed beside the baseline to learn what a block can tell apart
    )

    @property
    def id(self) -> str:
        """Return the same hex digits for the same measurement, wherever and whenever it runs."""
        data = asdict(self)
        for unmeasured in ("plugins", "limits"):
            del data[unmeasured]
        for unmeasured in ("label", "baseline"):
            del data["implementation"][unmeasured]
        if not self.replica:  # as before there were copies, so that older records keep their ids
            del data["replica"]
        canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:ID_DIGITS]

    @property
    def torch_device(self) -> str:
        """Return the device in torch's words; which of a kind it is, the node has settled."""
        return self.device.partition(":")[0]

    def __str__(self) -> str:
        return (
            f"{self.cell}/{self.implementation.label}/{self.task}/T={self.sequence_length}"
            f"/H={self.hidden_size}/B={self.batch_size}/{self.device}/{self.measurement}"
            f"/block {self.block}{'/A/A copy' if self.replica else ''}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        """Return the trial that `to_json` was called on."""
        known = dict(data)
        implementation = dict(known["implementation"])
        implementation["gradient"] = Choice(**implementation["gradient"])
        implementation["clips"] = tuple(Choice(**clip) for clip in implementation["clips"])
        known["implementation"] = Implementation(**implementation)
        known["cell"], known["task"] = Choice(**known["cell"]), Choice(**known["task"])
        known["plugins"] = tuple(known["plugins"])
        known["limits"] = Limits(**known["limits"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Record:
    """What one trial gave: numbers, or a status with its reason."""

    trial: Trial
    status: str  # Status
    reason: str = ""  # in words, wherever the status is not `done`
    advice: str = ""  # what to do about it
    values: Mapping[str, Any] = field(default_factory=dict)  # as each measure/ module lists
    environment: Mapping[str, Any] = field(default_factory=dict)  # harness/environment.py
    started: float = 0.0  # seconds since 1970
    ended: float = 0.0
    node: str = ""
    attempts: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with the trial's id beside it."""
        fields = {name: getattr(self, name) for name in _RECORD_FIELDS}
        return {"schema": SCHEMA, "id": self.trial.id, "trial": self.trial.to_json(), **fields}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Return the record that `to_json` was called on.

        Raises:
            ValueError: the record was written under another schema.
        """
        if data.get("schema") != SCHEMA:
            raise ValueError(f"schema {data.get('schema')!r}; this version reads schema {SCHEMA}")
        fields = {name: data[name] for name in _RECORD_FIELDS}
        return cls(trial=Trial.from_json(data["trial"]), **fields)


_RECORD_FIELDS = tuple(name for name in Record.__dataclass_fields__ if name != "trial")
