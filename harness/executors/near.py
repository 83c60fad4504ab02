"""Which cores are each accelerator's own: those near it, where the machine tells."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from harness.doctor.kernel import Kernel

LISTED = "proc/driver/nvidia/gpus"  # a folder for each, named by its address on the PCI bus
BUS = "sys/bus/pci/devices"
UUID = re.compile(r"^GPU UUID:\s*(\S+)", re.MULTILINE)


def cores_near(names: Sequence[str], kernel: Kernel) -> tuple[tuple[int, ...], ...]:
    """Return the logical CPUs near each accelerator; none where the machine does not tell.

    A name is one that CUDA_VISIBLE_DEVICES may hold: the beginning of a UUID, or a place in the
    order of the bus.
    """
    paths = [f"{BUS}/{_address(name, kernel)}/local_cpulist" for name in names]
    return tuple(_numbers(kernel.text(path) or "") for path in paths)


def divide(cores: Sequence[int], near: Sequence[Collection[int]]) -> list[tuple[int, ...]]:
    """Return equal shares of cores, one for each accelerator: near ones, as far as they go."""
    size = len(cores) // max(1, len(near))
    left, shares = list(cores), []
    for mine in near:
        shares.append([core for core in left if core in mine][:size])
        left = [core for core in left if core not in shares[-1]]
    for share in shares:
        missing = size - len(share)
        share += left[:missing]
        del left[:missing]
    return [tuple(share) for share in shares]


def _address(name: str, kernel: Kernel) -> str:
    """Return where on the bus an accelerator is; empty for one that is not listed."""
    listed = sorted(path.parent.name for path in kernel.root.glob(f"{LISTED}/*/information"))
    if name.isdigit():
        return dict(enumerate(listed)).get(int(name), "")
    for address in listed:
        uuid = UUID.search(kernel.text(f"{LISTED}/{address}/information") or "")
        if uuid is not None and uuid[1].startswith(name):
            return address
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a kernel's list: "0-2,8" are 0, 1, 2, 8."""
    ends = [part.partition("-") for part in text.split(",") if part]
    return tuple(
        number for low, _, high in ends for number in range(int(low), int(high or low) + 1)
    )
