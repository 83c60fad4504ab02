"""An accelerator's own account: its allocator counts what is alive, and remembers the most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from harness.measure.account import Traced, marks
from harness.rig import Rig


def traced(rig: Rig, run: Callable[[], None]) -> Traced:
    """Return the account of `run` by the allocator of the rig's device."""
    rig.synchronize()
    before = _requested_bytes(rig, "current")
    torch.accelerator.reset_peak_memory_stats(rig.device)
    kept: list[int] = []

    def mark(held: int) -> None:
        kept.append(_requested_bytes(rig, "current") - before - held)

    with marks(rig, mark):
        run()
        rig.synchronize()
    peak = _requested_bytes(rig, "peak") - before
    return Traced(max(kept, default=0), peak, "the device's allocator")


def device_peaks(rig: Rig) -> dict[str, int | None]:
    """Return the most that tensors took, and that was held of the device, since `traced` began.

    Both null on a CPU.
    """
    if rig.device.type == "cpu":
        return {"allocated_peak_bytes": None, "reserved_peak_bytes": None}
    return {
        "allocated_peak_bytes": torch.accelerator.max_memory_allocated(rig.device),
        "reserved_peak_bytes": torch.accelerator.max_memory_reserved(rig.device),
    }


def _requested_bytes(rig: Rig, which: Literal["current", "peak"]) -> int:
    """Return the tensors' own bytes, as on a CPU: the allocator hands out whole blocks of 512."""
    stats = torch.get_device_module(rig.device).memory_stats(rig.device)
    return int(stats[f"requested_bytes.all.{which}"])
