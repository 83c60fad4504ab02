"""What about this machine's GPUs disturbs timings: their clocks, and who else is on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness import environment
from harness.doctor.finding import Finding, disturbs, fine, unknown
from harness.doctor.nvml import Gpu, Reading, every, library, throttles

BUSY_PERCENT = 5  # of the time that some kernel ran: more than the driver's own housekeeping
PACKAGE = "pip install nvidia-ml-py"
LOCK = "sudo nvidia-smi -lgc MHZ, at a clock that it keeps under load"


def findings() -> list[Finding]:
    """Return what there is to say of this machine's GPUs; nothing where there is none."""
    nvml = library()
    if nvml is None:
        names = environment.describe()["gpu"]
        return [unknown("GPU", f"{names}: NVML does not answer", PACKAGE)] if names else []
    return judged(every(nvml))


def judged(gpus: Sequence[Gpu]) -> list[Finding]:
    """Return what there is to say of these, each topic of all of them at once."""
    return [judge(gpus) for judge in (persistence, clocks, throttling, company)] if gpus else []


def persistence(gpus: Sequence[Gpu]) -> Finding:
    """Return whether the driver stays loaded while no process uses a GPU."""
    modes = [gpu.ask(gpu.nvml.nvmlDeviceGetPersistenceMode) for gpu in gpus]
    if None in modes:
        return unknown("GPU persistence", "the driver does not say")
    if all(modes):
        return fine("GPU persistence", "on")
    seen = f"off{_of(not mode for mode in modes)}: it starts, and its clock falls, with each trial"
    return disturbs("GPU persistence", seen, "sudo nvidia-smi -pm 1")


def clocks(gpus: Sequence[Gpu]) -> Finding:
    """Return what the clocks are; whether somebody locked them no question of NVML tells."""
    said = []
    for gpu in gpus:
        now = gpu.ask(gpu.nvml.nvmlDeviceGetClockInfo, gpu.nvml.NVML_CLOCK_SM)
        most = gpu.ask(gpu.nvml.nvmlDeviceGetMaxClockInfo, gpu.nvml.NVML_CLOCK_SM)
        if now is None or most is None:
            return unknown("GPU clock", "the driver does not say")
        said.append(f"{now:,} of at most {most:,} MHz")
    seen = f"{'; '.join(said)}: unless it was locked, it follows heat and power"
    return unknown("GPU clock", seen, LOCK)


def throttling(gpus: Sequence[Gpu]) -> Finding:
    """Return whether something holds a clock back now."""
    readings = [gpu.read() for gpu in gpus]
    if any(reading.clock_reasons is None for reading in readings):
        return unknown("GPU throttling", "the driver does not say")
    held = [throttles(reading.clock_reasons) for reading in readings]
    seen = "; ".join(map(_warmth, readings))
    if not any(held):
        return fine("GPU throttling", f"nothing holds the clock back: {seen}")
    why = ", ".join(dict.fromkeys(reason for reasons in held for reason in reasons))
    advice = "cool it, or lock its clock lower: what is throttled depends on the weather"
    return disturbs("GPU throttling", f"{why}{_of(map(bool, held))}: {seen}", advice)


def company(gpus: Sequence[Gpu]) -> Finding:
    """Return who else is on them; a container hides the others, but not the time they take."""
    said, busy = [], []
    for gpu in gpus:
        running = gpu.ask(gpu.nvml.nvmlDeviceGetComputeRunningProcesses)
        rates = gpu.ask(gpu.nvml.nvmlDeviceGetUtilizationRates)
        if running is None and rates is None:
            return unknown("GPU processes", "the driver does not say")
        share = 0 if rates is None else rates.gpu
        busy.append(bool(running) or share > BUSY_PERCENT)
        pids = "".join(f", process {one.pid}" for one in running or ())
        said.append(f"busy {share} % of the time{pids}")
    if not any(busy):
        return fine("GPU processes", "nobody is on it")
    advice = "end it, or measure when it is done: see nvidia-smi"
    return disturbs("GPU processes", f"somebody is on it{_of(busy)}: {'; '.join(said)}", advice)


def _of(truths: Iterable[object]) -> str:
    """Return " on GPU 1", for those that it is true of; "" where that is all."""
    found = list(truths)
    numbers = [str(number) for number, one in enumerate(found) if one]
    return "" if len(numbers) == len(found) else f" on GPU {', '.join(numbers)}"


def _warmth(reading: Reading) -> str:
    heat, power = reading.temperature_celsius, reading.power_watts
    parts = [
        "" if heat is None else f"{heat:.0f} °C",
        "" if power is None else f"{power:.0f} W",
    ]
    return ", ".join(filter(None, parts)) or "no more is known"
