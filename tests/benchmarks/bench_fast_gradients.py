"""How fast are the backward passes by hand? Wanted: 1.25 times the fused module, near the floor.

In one process and in turns: the fused module, the methods by hand, and the bare matrix products.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from harness.measure.floor import floor
from harness.registry import Registry
from harness.rig import Rig, build
from harness.trial import Choice, Implementation, Trial

METHODS = ("native", "time_batched", "h_only", "compiled")
SIZES = ((64, 256), (128, 128), (256, 64), (512, 64), (64, 2048))  # (H, T), a few of the grid
BATCH_SIZE = 32
SECONDS = 1.0  # a setting: turns are taken until it has passed
TURNS = 3  # at least
FASTER, NEVER_UNDER, ABOVE_FLOOR, REBUILDING = 1.25, 0.95, 1.3, 1.45
LARGE = 256  # H from which the floor is wanted


def rig_of(gradient: str, cell: str, hidden_size: int, length: int, threads: int) -> Rig:
    trial = Trial(
        *("speed", Implementation(Choice(gradient)), Choice(cell), Choice("adding"), length),
        *(hidden_size, BATCH_SIZE, "cpu", "float32", threads, "sequence", "adam", 1e-3, 0, 0),
    )
    return build(trial, Registry.scan())


def runs(cell: str, hidden_size: int, length: int, threads: int) -> dict[str, Callable[[], object]]:
    """Return what computes one gradient, by the method's name, and the floor."""
    found: dict[str, Callable[[], object]] = {}
    for name in METHODS:
        rig = rig_of(name, cell, hidden_size, length, threads)
        model, batch, method = rig.model, rig.batch(), rig.method
        carry = model.initial_state(BATCH_SIZE)
        found[name] = lambda r=method, m=model, b=batch, c=carry: r.gradient(m, b, c)
    return {**found, "floor": floor(rig)}


def medians(found: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return each one's seconds, measured in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for run in found.values():
        run()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(seconds["floor"]) < TURNS:
        for name, run in found.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main() -> int:
    speedups, misses = [], 0
    torch.set_flush_denormal(True)  # as in every trial
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for cell in ("elman", "gru", "lstm"):
            for hidden_size, length in SIZES:
                took = medians(runs(cell, hidden_size, length, threads))
                best = min(took["time_batched"], took["compiled"])
                speedup, above = took["native"] / best, best / took["floor"]
                rebuilding = took["h_only"] / took["time_batched"]
                speedups.append(speedup)
                missed = speedup < NEVER_UNDER or rebuilding > REBUILDING
                missed |= hidden_size >= LARGE and above > ABOVE_FLOOR
                misses += missed
                told = " ".join(f"{name} {each * 1e3:.1f}" for name, each in took.items())
                print(
                    f"threads {threads} {cell:5} H = {hidden_size:3} T = {length:4}"
                    f"  best / native {speedup:.2f} times as fast, {above:.2f} of the floor,"
                    f" h_only / time_batched {rebuilding:.2f}{' MISSED' * missed} (ms: {told})",
                    flush=True,
                )
    mean = statistics.geometric_mean(speedups)
    print(f"geometric mean {mean:.2f} times as fast as native; wanted: {FASTER}")
    print(f"{misses} of {len(speedups)} settings miss a bound")
    return int(mean < FASTER or misses > 0)


if __name__ == "__main__":
    sys.exit(main())
