"""NVIDIA's own account of a GPU: its clocks, heat and power, and what holds the clock back.

Read by NVML, through the package nvidia-ml-py (the extra `gpu`). Its driver must be of 2023 or
later. Where there is no such device there is nothing to say, and what one does not count is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

# <nvml.h>, nvmlClocksEventReasons: by the bits of their mask
IDLE, APPLICATION = 0x1, 0x2  # its clock is low for want of work, or as somebody asked
REASONS = {
    0x4: "its power cap",
    0x8: "a hardware slowdown",
    0x10: "the clocks of a group of GPUs",
    0x20: "its driver's limit on heat",
    0x40: "its hardware's limit on heat",
    0x80: "the power supply",
    0x100: "a display's clock",
}
POLICIES = {"power": 0, "thermal": 1, "sync": 2, "board": 3, "reliability": 5}  # nvmlPerfPolicyType
HOLDS = {  # each of them, in words
    "power": "its power cap",
    "thermal": "its limits on heat",
    "sync": "the clocks of a group of GPUs",
    "board": "a limit of its board",
    "reliability": "a limit that keeps its board reliable",
}
SHARE_HELD = 0.01  # of the time, for which a policy held the clock back: what a timing may move


@dataclass(frozen=True, slots=True)
class Reading:
    """A GPU at one moment; null: it does not say."""

    sm_clock_hertz: float | None
    memory_clock_hertz: float | None
    temperature_celsius: int | None
    power_watts: float | None
    clock_reasons: int | None  # what holds the clock back: a mask of nvmlClocksEventReasons
    held_seconds: Mapping[str, float | None]  # by policy, since the driver was loaded


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, as NVML knows it."""

    nvml: ModuleType
    handle: Any  # Any: NVML's own, which it alone looks into; None: it is lost

    def read(self) -> Reading:
        """Return how it is now; the reasons first, for they go as the work does."""
        nvml = self.nvml
        reasons = self.ask(nvml.nvmlDeviceGetCurrentClocksEventReasons)
        sm = self.ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM)
        memory = self.ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM)
        watts = self.ask(nvml.nvmlDeviceGetPowerUsage)
        heat = self.ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU)
        return Reading(
            sm_clock_hertz=None if sm is None else sm * 1e6,
            memory_clock_hertz=None if memory is None else memory * 1e6,
            temperature_celsius=heat,
            power_watts=None if watts is None else watts / 1e3,
            clock_reasons=reasons,
            held_seconds={name: self._held_seconds(number) for name, number in POLICIES.items()},
        )

    def _held_seconds(self, policy: int) -> float | None:
        found = self.ask(self.nvml.nvmlDeviceGetViolationStatus, policy)
        return None if found is None else found.violationTime / 1e9

    def ask(self, question: Callable[..., Any], *about: int) -> Any:
        """Return the answer to one of NVML's questions; None: this device or driver has none."""
        if self.handle is None:
            return None
        try:
            return question(self.handle, *about)
        except self.nvml.NVMLError:
            return None


def library() -> ModuleType | None:
    """Return NVML, ready to be asked; None: nobody installed it, it is too old, no driver answers.

    Other tools install a pynvml too, some of one that has no word yet for what holds a clock back.
    """
    try:
        import pynvml
    except ImportError:
        return None
    if "nvmlDeviceGetCurrentClocksEventReasons" not in vars(pynvml):
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    ready: ModuleType = pynvml
    return ready


def every(nvml: ModuleType) -> list[Gpu]:
    """Return this machine's GPUs, in the order of their numbers there, a lost one too."""
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError:
        return []
    return [Gpu(nvml, _handle(nvml, number)) for number in range(count)]


def _handle(nvml: ModuleType, number: int) -> Any:
    """Return a GPU's handle; None: it is lost, as one that fell off the bus."""
    try:
        return nvml.nvmlDeviceGetHandleByIndex(number)
    except nvml.NVMLError:
        return None


def named(nvml: ModuleType | None, uuid: str) -> Gpu | None:
    """Return the GPU of that name; None: NVML does not know it, as with a part of one."""
    if nvml is None:
        return None
    try:
        return Gpu(nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
    except nvml.NVMLError:
        return None


def held_seconds(before: Reading, after: Reading) -> dict[str, float | None]:
    """Return for how long each policy held the clock back between two readings."""
    pairs = ((name, before.held_seconds[name], after.held_seconds[name]) for name in POLICIES)
    return {name: None if a is None or b is None else b - a for name, a, b in pairs}


def flags(before: Reading, after: Reading, seconds: float) -> list[str]:
    """Return in words what held the clock back in so many seconds between two readings."""
    found = dict.fromkeys((*throttles(before.clock_reasons), *throttles(after.clock_reasons)))
    said = [f"the GPU's clock was held back by {', '.join(found)}"] if found else []
    for name, held in held_seconds(before, after).items():
        if held is not None and held > SHARE_HELD * seconds:
            said.append(f"the GPU's clock was held back for {held:.2f} s by {HOLDS[name]}")
    return said


def throttles(reasons: int | None) -> list[str]:
    """Return what holds a clock back, but for want of work and what somebody asked for."""
    left = (reasons or 0) & ~(IDLE | APPLICATION)
    bits = [1 << place for place in range(left.bit_length()) if left >> place & 1]
    return [REASONS.get(bit, f"reason {bit:#x}") for bit in bits]
