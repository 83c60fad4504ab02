"""What an allocator says a run needed: the bytes kept for backward passes, and the most at once."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import psutil
import torch

from harness.rig import Rig

# What the allocators of CPU and CUDA say when there is no more, and C++ where it was no tensor.
NO_MEMORY = re.compile(
    r"can't allocate memory|out of memory|Cannot allocate memory|std::bad_alloc", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Traced:
    """Bytes beyond what was alive before the run, and who counted them."""

    kept_bytes: int  # alive when a backward pass begins, gradients apart; the most over windows
    peak_bytes: int
    counted_by: str


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that can still be had, and what is full once they are taken."""

    free_bytes: int
    of: Literal["limit", "node", "accelerator"]  # the first: this process's own


@contextmanager
def marks(rig: Rig, mark: Callable[[int], None]) -> Iterator[None]:
    """Call `mark` whenever a backward pass begins, with the bytes that gradients hold then.

    Those are static: they are still there from the last update, and not kept for this pass.
    """
    rig.model.on_backward = lambda: mark(gradient_bytes(rig))
    try:
        yield
    finally:
        rig.model.on_backward = None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocator failed for lack of memory; of the CPU's torch has no class."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None


def room(device: torch.device) -> Room:
    """Return what a device can still give this process."""
    if device.type != "cpu":
        return Room(torch.accelerator.get_memory_info(device)[0], "accelerator")
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    free = psutil.virtual_memory().available
    if limit == resource.RLIM_INFINITY:
        return Room(free, "node")
    left = max(0, limit - psutil.Process().memory_info().data)
    return Room(left, "limit") if left < free else Room(free, "node")


def gradient_bytes(rig: Rig) -> int:
    """Return the bytes of the gradients that the parameters hold now."""
    params = rig.model.parameters()
    return sum(param.grad.nbytes for param in params if param.grad is not None)
