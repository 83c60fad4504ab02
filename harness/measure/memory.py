"""How much memory a training sequence needs: exact tensor bytes, by the allocator's own account.

Values: static_bytes (parameters, gradients, optimizer), theory_static_bytes, batch_bytes,
kept_bytes (alive when the backward pass begins, beyond static and batch; the largest over
windows), peak_bytes (the most alive at once, everything counted), kept_bytes_per_step and
peak_bytes_per_step (what a step more adds, from the whole sequence and its first half; null where
T = 1), half (length, kept_bytes and peak_bytes of that half), theory (of the sequence),
theory_peak_bytes, theory_kept_bytes_per_step, theory_peak_bytes_per_step, flags (where measured and
theory are apart), counted_by, resident_peak_bytes (the operating system's view of the first
sequence; null off Linux), allocated_peak_bytes (of an accelerator, whose allocator rounds up; with
all that was there before) and reserved_peak_bytes (what it held of the device; both null on a CPU).

Theory's peak is what is static, the batch, what is kept, and what a method's formula says of its
backward pass; where that says nothing, it is the least there can be.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harness.contract import Batch, Cost
from harness.measure import allocator_events, allocator_log, allocator_peaks
from harness.measure.account import Traced, gradient_bytes
from harness.rig import Rig

CLEAR_PEAK = "5"  # what proc(5) says to write to clear_refs to reset VmHWM
APART = 0.05  # measured and theory further apart than this are flagged (MEASURING)
PER_STEP = ("kept_bytes_per_step", "peak_bytes_per_step")
MOMENTS = {"adam": 2, "sgd": 0}  # tensors as large as the parameters that an optimizer keeps


@dataclass(frozen=True, slots=True)
class Account:
    """What sequences of one length need, in bytes."""

    static: int
    batch: int
    kept: int
    peak: int
    counted_by: str


def measure(rig: Rig) -> dict[str, Any]:
    """Return the memory of one training sequence, after a first one that allocates what stays."""
    optimizer, batch = rig.optimizer(learning_rate=0.0), rig.batch()
    with resident_peak() as resident:
        _sequence(rig, optimizer, batch)
    found = account(rig, optimizer, batch)
    peaks = allocator_peaks.device_peaks(rig)
    theory, static = rig.theory(), theory_static_bytes(rig)
    values = {
        "static_bytes": found.static,
        "theory_static_bytes": static,
        "batch_bytes": found.batch,
        "kept_bytes": found.kept,
        "peak_bytes": found.peak,
        "theory_peak_bytes": theory and static + found.batch + held(theory),
        "counted_by": found.counted_by,
        "resident_peak_bytes": resident[0] if resident else None,
        **peaks,
        "theory": theory and asdict(theory),
        **_per_step(rig, optimizer, batch, found, theory),
    }
    return {**values, "flags": disagreements(values)}


def account(rig: Rig, optimizer: torch.optim.Optimizer, batch: Batch) -> Account:
    """Return what a sequence needs as it trains, once what stays has been allocated."""
    optimizer.zero_grad()  # what was allocated before an account is not seen being freed in it
    lasting = lasting_bytes(rig, optimizer)

    def sequences() -> None:
        _sequence(rig, optimizer, batch)
        _sequence(rig, optimizer, batch)  # while the first one's gradients are still there

    traced = _tracer(rig)(rig, sequences)
    size = batch_bytes(batch)
    static, peak = lasting + gradient_bytes(rig), lasting + size + traced.peak_bytes
    return Account(static, size, traced.kept_bytes, peak, traced.counted_by)


def _tracer(rig: Rig) -> Callable[[Rig, Callable[[], None]], Traced]:
    if rig.device.type != "cpu":
        return allocator_peaks.traced
    return allocator_log.traced if allocator_log.is_there() else allocator_events.traced


def _sequence(rig: Rig, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    drive = rig.drive(optimizer)
    drive.sequence(batch, drive.begin(rig.trial.batch_size, rig.generator("method")))


def _per_step(
    rig: Rig, optimizer: torch.optim.Optimizer, batch: Batch, whole: Account, theory: Cost | None
) -> dict[str, Any]:
    """Return what each step of the second half adds, measured and by theory."""
    first = len(batch) // 2
    if not first:
        return dict.fromkeys(("half", *PER_STEP, *(f"theory_{name}" for name in PER_STEP)))
    half, more = account(rig, optimizer, batch.window(0, first)), len(batch) - first
    cost = rig.method.cost(replace(rig.shape(), length=first))
    kept = (theory.kept_bytes - cost.kept_bytes) / more if theory and cost else None
    most = (held(theory) - held(cost)) / more if theory and cost else None
    return {
        "half": {"length": first, "kept_bytes": half.kept, "peak_bytes": half.peak},
        "kept_bytes_per_step": (whole.kept - half.kept) / more,
        "peak_bytes_per_step": (whole.peak - half.peak) / more,
        "theory_kept_bytes_per_step": kept,
        "theory_peak_bytes_per_step": None if most is None else most + whole.batch / len(batch),
    }


def held(cost: Cost) -> float:
    """Return what theory says is alive beside static bytes and the batch, at the most."""
    return cost.kept_bytes + cost.backward_bytes


def disagreements(values: Mapping[str, Any]) -> list[str]:
    """Return in words where a figure and its theory are apart; by how much, in times."""
    kept = (values["theory"] or {}).get("kept_bytes")
    pairs = (
        ("static", values["static_bytes"], values["theory_static_bytes"]),
        ("kept for backward", values["kept_bytes"], kept),
        ("peak", values["peak_bytes"], values["theory_peak_bytes"]),
        ("kept per step", values["kept_bytes_per_step"], values["theory_kept_bytes_per_step"]),
        ("peak per step", values["peak_bytes_per_step"], values["theory_peak_bytes_per_step"]),
    )
    return [
        f"{name}: {measured / theory:.2f} times what theory says"
        for name, measured, theory in pairs
        if measured is not None and theory and abs(measured / theory - 1) > APART
    ]


def theory_static_bytes(rig: Rig) -> int:
    """Return the bytes of parameters, their gradients and the optimizer's moments."""
    tensors = 2 + MOMENTS[rig.trial.optimizer]
    return tensors * sum(param.nbytes for param in rig.model.parameters())


def batch_bytes(batch: Batch) -> int:
    """Return the bytes of a batch's three tensors."""
    return sum(part.nbytes for part in (batch.inputs, batch.targets, batch.weights))


def lasting_bytes(rig: Rig, optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of parameters and optimizer, which stay from sequence to sequence.

    On their own device: Adam keeps its counters in this machine's memory.
    """
    states = [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.device.type == rig.device.type
    ]
    return sum(tensor.nbytes for tensor in itertools.chain(rig.model.parameters(), states))


@contextmanager
def resident_peak() -> Iterator[list[int]]:
    """Put into the list how far the resident set rose inside; leave it empty off Linux."""
    found: list[int] = []
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not clear.exists():
        yield found
        return
    clear.write_text(CLEAR_PEAK)
    before = _kibibytes(status.read_text(), "VmRSS")
    yield found
    found.append(1024 * (_kibibytes(status.read_text(), "VmHWM") - before))


def _kibibytes(status: str, field: str) -> int:
    line = next(line for line in status.splitlines() if line.startswith(field + ":"))
    return int(line.split()[1])
