"""The device that a trial runs on: torch can use it here, and holds it to the limit on memory.

A processor's memory is the kernel's to limit (executors/child.py). On an accelerator torch's
allocator is told how many bytes it may reserve, for tensors and for what it keeps to use again, and
fails beyond. The driver's own part is not counted, nor what the trial has in this machine's memory:
CUDA maps more of that than there is, so that a limit on it would end every trial.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.trial import Trial


class NoDevice(Exception):
    """The node claims a device that torch cannot use there; the message says why."""


def find(trial: Trial) -> torch.device:
    """Return the trial's device.

    Raises:
        NoDevice: there is no such device here, or it is too full to begin on, as the cause says.
    """
    try:
        return torch.empty(0, device=trial.torch_device).device
    except (AssertionError, RuntimeError) as error:  # the first: a torch that was built without
        why = str(error).splitlines()[0]
        said = f"the node claims a device {trial.device!r}, which torch {torch.__version__} there"
        raise NoDevice(f"{said} cannot use: {why}") from error


def hold(device: torch.device, memory_bytes: int | None) -> None:
    """Let torch's allocator reserve so many bytes of an accelerator; None: all that it can get."""
    if device.type == "cpu" or memory_bytes is None:
        return
    share = min(1.0, memory_bytes / _properties(device).total_memory)
    module = torch.get_device_module(device)
    module.set_per_process_memory_fraction(share, _index(device))


def held_bytes(device: torch.device) -> int | None:
    """Return the limit in force on what torch's allocator reserves; None: none that it tells."""
    if device.type == "cpu" or not torch.get_device_module(device).is_initialized():
        return None
    module = torch.get_device_module(device)
    try:
        share = module.get_per_process_memory_fraction(_index(device))
    except RuntimeError:  # it asks the device, which is too full for that, or lost to an error
        return None
    return round(share * _properties(device).total_memory) if share < 1 else None


def uuid(device: torch.device) -> str:
    """Return the name by which an accelerator's driver knows it, whatever torch numbers it."""
    return str(_properties(device).uuid)


def _index(device: torch.device) -> int:
    """Return the number of a device, which its limit is asked by; without one it is the current."""
    return torch.accelerator.current_device_index() if device.index is None else device.index


def _properties(device: torch.device) -> Any:  # Any: each kind of device has a class of its own
    return torch.get_device_module(device).get_device_properties(device)
