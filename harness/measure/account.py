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

from harness.device import held_bytes
from harness.rig import Rig

# What this machine's allocators say when there is no more: the CPU's of torch, the kernel, C++.
HOST_FULL = re.compile(r"can(no|')t allocate memory|std::bad_alloc", re.IGNORECASE)
# What CUDA says, and the libraries that take memory beside torch's allocator: for their handles.
DEVICE_FULL = re.compile(r"out of memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED", re.IGNORECASE)
# The most that a process's own context and libraries have of a device beside torch's allocator:
# an H200 with torch 2.11 showed 0.7 GiB.
CONTEXT_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Traced:
    """Bytes beyond what was alive before the run, and who counted them."""

    kept_bytes: int  # alive when a backward pass begins, gradients apart; the most over windows
    peak_bytes: int
    counted_by: str


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that can still be had, and what is full once they are taken."""

    free_bytes: int | None  # None: the device is too full to say
    # The first: this process's own limit. The last: other processes have memory of it too.
    of: Literal["limit", "node", "accelerator", "shared accelerator"]


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
    """Return whether an allocator failed for lack of memory; torch's class for it is a device's."""
    if isinstance(error, torch.OutOfMemoryError) or is_of_this_machine(error):
        return True
    return isinstance(error, RuntimeError) and DEVICE_FULL.search(str(error)) is not None


def is_of_this_machine(error: BaseException) -> bool:
    """Return whether it was this machine's memory that an allocator failed for lack of."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and HOST_FULL.search(str(error)) is not None


def room(device: torch.device) -> Room:
    """Return what a device can still give this process."""
    if device.type != "cpu":
        return _room_of_accelerator(device)
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    free = psutil.virtual_memory().available
    if limit == resource.RLIM_INFINITY:
        return Room(free, "node")
    left = max(0, limit - psutil.Process().memory_info().data)
    return Room(left, "limit") if left < free else Room(free, "node")


def _room_of_accelerator(device: torch.device) -> Room:
    """Return what its allocator may still reserve: it has let go of what nobody used by then."""
    try:
        free, total = torch.accelerator.get_memory_info(device)
    except RuntimeError:  # no room for the context of a process that has nothing else of it
        return Room(None, "shared accelerator")
    reserved, limit = torch.accelerator.memory_reserved(device), held_bytes(device)
    if limit is not None and (left := max(0, limit - reserved)) < free:
        return Room(left, "limit")
    shared = total - free - reserved > CONTEXT_BYTES
    return Room(free, "shared accelerator" if shared else "accelerator")


def gradient_bytes(rig: Rig) -> int:
    """Return the bytes of the gradients that the parameters hold now."""
    params = rig.model.parameters()
    return sum(param.grad.nbytes for param in params if param.grad is not None)
