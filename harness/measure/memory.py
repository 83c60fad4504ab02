"""How much memory a training sequence needs: exact tensor bytes from the allocator's own events.

Values: static_bytes (parameters, gradients, optimizer), batch_bytes, kept_bytes (alive when the
backward pass begins, beyond static and batch; the largest over windows), peak_bytes (the most
alive at once, everything counted), resident_peak_bytes (the operating system's view of the first
sequence; null off Linux), theory.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from harness.contract import Batch
from harness.rig import Rig

MARK = "bptt: a backward pass begins"
CLEAR_PEAK = "5"  # what proc(5) says to write to clear_refs to reset VmHWM


@dataclass(frozen=True, slots=True)
class Traced:
    """Bytes beyond what was alive before the sequence."""

    kept_bytes: int
    peak_bytes: int


def measure(rig: Rig) -> dict[str, Any]:
    """Return the memory of one training sequence, after a first one that allocates what stays."""
    optimizer = rig.optimizer(learning_rate=0.0)
    drive = rig.drive(optimizer)
    batch = rig.batch()

    def sequence() -> None:
        drive.sequence(batch, drive.begin(rig.trial.batch_size, rig.generator("method")))

    with resident_peak() as resident:
        sequence()
    optimizer.zero_grad()  # the CPU's trace does not see what was allocated before it being freed
    lasting = lasting_bytes(rig, optimizer)

    def sequences() -> None:
        sequence()
        sequence()  # during which the first one's gradients are still there, as in training

    traced = trace_cpu(rig, sequences) if rig.device.type == "cpu" else trace_device(rig, sequences)
    theory = rig.theory()
    return {
        "static_bytes": lasting + gradient_bytes(rig),
        "batch_bytes": batch_bytes(batch),
        "kept_bytes": traced.kept_bytes,
        "peak_bytes": lasting + batch_bytes(batch) + traced.peak_bytes,
        "resident_peak_bytes": resident[0] if resident else None,
        "theory": theory and asdict(theory),
    }


def batch_bytes(batch: Batch) -> int:
    """Return the bytes of a batch's three tensors."""
    return sum(part.nbytes for part in (batch.inputs, batch.targets, batch.weights))


def lasting_bytes(rig: Rig, optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of parameters and optimizer, which stay from sequence to sequence."""
    states = [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    ]
    return sum(tensor.nbytes for tensor in itertools.chain(rig.model.parameters(), states))


def gradient_bytes(rig: Rig) -> int:
    """Return the bytes of the gradients that the parameters hold now."""
    params = rig.model.parameters()
    return sum(param.grad.nbytes for param in params if param.grad is not None)


def trace_cpu(rig: Rig, sequence: Callable[[], None]) -> Traced:
    """Return the CPU allocator's account of `sequence`, from its events."""
    held: list[int] = []  # by gradients, at each mark: they are static, not kept

    def mark() -> None:
        held.append(gradient_bytes(rig))
        with record_function(MARK):
            pass

    rig.model.on_backward = mark
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            sequence()
    finally:
        rig.model.on_backward = None
    session = profiler.profiler
    assert session is not None, "a profiler that has run holds its session"
    live = kept = peak = marks = 0
    events = [e for e in session.kineto_results.events() if e.name() in ("[memory]", MARK)]
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == MARK:
            kept = max(kept, live - held[marks])
            marks += 1
        else:
            live += event.nbytes()
            peak = max(peak, live)
    return Traced(kept, peak)


def trace_device(rig: Rig, sequence: Callable[[], None]) -> Traced:
    """Return the accelerator allocator's own peaks over `sequence`."""
    rig.synchronize()
    before = torch.accelerator.memory_allocated(rig.device)
    torch.accelerator.reset_peak_memory_stats(rig.device)
    kept: list[int] = []

    def mark() -> None:
        now = torch.accelerator.memory_allocated(rig.device)
        kept.append(now - before - gradient_bytes(rig))

    rig.model.on_backward = mark
    try:
        sequence()
        rig.synchronize()
    finally:
        rig.model.on_backward = None
    peak = torch.accelerator.max_memory_allocated(rig.device)
    return Traced(max(kept, default=0), peak - before)


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
