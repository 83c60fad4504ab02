"""An accelerator's own account: its allocator counts what is alive, and remembers the most."""

from __future__ import annotations

from collections.abc import Callable

import torch

from harness.measure.account import Traced, marks
from harness.rig import Rig


def traced(rig: Rig, run: Callable[[], None]) -> Traced:
    """Return the account of `run` by the allocator of the rig's device."""
    rig.synchronize()
    before = torch.accelerator.memory_allocated(rig.device)
    torch.accelerator.reset_peak_memory_stats(rig.device)
    kept: list[int] = []

    def mark(held: int) -> None:
        kept.append(torch.accelerator.memory_allocated(rig.device) - before - held)

    with marks(rig, mark):
        run()
        rig.synchronize()
    peak = torch.accelerator.max_memory_allocated(rig.device) - before
    return Traced(max(kept, default=0), peak, "the device's allocator")


def reserved_peak_bytes(rig: Rig) -> int:
    """Return the most that the allocator has held of the device since the last `traced`."""
    return torch.accelerator.max_memory_reserved(rig.device)
