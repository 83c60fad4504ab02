"""The processor's clock, its shared cores, and what holds it back."""

from __future__ import annotations

from collections import Counter

from harness.doctor.finding import Finding, disturbs, fine, unknown
from harness.doctor.kernel import CPUS, Kernel

NO_TURBO = f"{CPUS}/intel_pstate/no_turbo"  # "1": off
BOOST = f"{CPUS}/cpufreq/boost"  # "1": on
SPREAD = 0.05  # cores whose clocks differ by more make a trial's time depend on where it ran
HIDDEN = "a virtual machine does not show it"
NO_FILE = "this kernel has no file for it"


def findings(kernel: Kernel) -> list[Finding]:
    """Return what there is to say of the processor."""
    return [governor(kernel), turbo(kernel), frequency(kernel), siblings(kernel)]


def governor(kernel: Kernel) -> Finding:
    """Return whether the kernel changes the clock with the load."""
    found = Counter(kernel.every(f"{CPUS}/cpu[0-9]*/cpufreq/scaling_governor"))
    if not found:
        return unknown("governor", _why(kernel))
    seen = ", ".join(f"{name} on {count} cores" for name, count in found.items())
    if set(found) == {"performance"}:
        return fine("governor", seen)
    return disturbs("governor", seen, "sudo cpupower frequency-set -g performance")


def turbo(kernel: Kernel) -> Finding:
    """Return whether the clock rises above its nominal rate while there is room."""
    for path, on, off in ((NO_TURBO, "0", "1"), (BOOST, "1", "0")):
        text = kernel.text(path)
        if text == off:
            return fine("turbo", "off")
        if text == on:
            seen = "on: the clock follows the temperature and what other cores do"
            return disturbs("turbo", seen, f"echo {off} | sudo tee /{path}")
    return unknown("turbo", _why(kernel))


def frequency(kernel: Kernel) -> Finding:
    """Return whether all cores run at one clock now."""
    clocks = [
        int(text)
        for text in kernel.every(f"{CPUS}/cpu[0-9]*/cpufreq/scaling_cur_freq")
        if text.isdigit()
    ]
    if not clocks:
        return unknown("frequency", _why(kernel))
    low, high = min(clocks) / 1e6, max(clocks) / 1e6  # kHz in the file
    if high > low * (1 + SPREAD):
        seen = f"{low:.2f} to {high:.2f} GHz over {len(clocks)} cores"
        return disturbs("frequency", seen, "fix the clock: governor performance, turbo off")
    return fine("frequency", f"{high:.2f} GHz on {len(clocks)} cores")


def siblings(kernel: Kernel) -> Finding:
    """Return whether two logical processors share a core."""
    active = kernel.text(f"{CPUS}/smt/active")
    if active == "1":
        seen = "on: a trial has one of a core's two threads, others may take the second"
        return disturbs("SMT", seen, f"echo off | sudo tee /{CPUS}/smt/control")
    if active != "0":
        return unknown("SMT", NO_FILE)
    if kernel.hypervisor:
        return unknown("SMT", "off in here; outside, virtual processors may share a core")
    return fine("SMT", "off")


def _why(kernel: Kernel) -> str:
    return HIDDEN if kernel.hypervisor else NO_FILE
