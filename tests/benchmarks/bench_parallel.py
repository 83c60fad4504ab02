"""What does a scan over time win on a CPU? Ratios beside the loops, and Newton's iterations.

In one process and in turns: how many times as fast as a loop over time by hand (`time_batched`),
and as autograd's (`full_bptt`). A loop pays for every step's calls, a scan for log₂ T passes over
all of time, and for products of whole Jacobians where units see one another.
"""

import statistics
import sys
import time
from collections.abc import Sequence

import torch

from harness.registry import Registry
from harness.rig import Rig, build
from harness.trial import Choice, Implementation, Trial
from implementations.gradients import _newton, _parallel
from implementations.gradients.deer import ITERATIONS

REGISTRY = Registry.scan()
LENGTHS = (64, 256, 1024, 4096)
LOOPS = ("full_bptt", "time_batched")
SECONDS = 1.0  # a setting: turns are taken until it has passed
TURNS = 3  # at least
UNITS = (4, 16, 64, 128)  # H: whole Jacobians are said to pay for few units alone


def rig_of(gradient: str, cell: str, hidden_size: int, length: int, batch_size: int) -> Rig:
    trial = Trial(
        *("speed", Implementation(Choice(gradient)), Choice(cell), Choice("adding"), length),
        *(hidden_size, batch_size, "cpu", "float32", 1, "sequence", "adam", 1e-3, 0, 0),
    )
    return build(trial, REGISTRY)


def medians(rigs: Sequence[Rig]) -> list[float]:
    """Return the seconds of one gradient by each, measured in turns."""
    batch = rigs[0].batch()
    carry = rigs[0].model.initial_state(batch.inputs.shape[1])
    seconds: list[list[float]] = [[] for _ in rigs]
    for rig in rigs:
        rig.method.gradient(rig.model, batch, carry)
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(seconds[-1]) < TURNS:
        for rig, took in zip(rigs, seconds, strict=True):
            start = time.perf_counter()
            rig.method.gradient(rig.model, batch, carry)
            took.append(time.perf_counter() - start)
    return [statistics.median(took) for took in seconds]


def speedups(gradient: str, cell: str, hidden_size: int, length: int, batch_size: int) -> float:
    """Print how many times as fast as the loops it is; return the ratio to the faster one."""
    sizes = (cell, hidden_size, length, batch_size)
    *loops, own = medians([rig_of(name, *sizes) for name in (*LOOPS, gradient)])
    told = ", ".join(
        f"{took / own:6.2f} times {name}" for name, took in zip(LOOPS, loops, strict=True)
    )
    print(
        f"{gradient:19} {cell:6} H = {hidden_size:3} T = {length:4} B = {batch_size:2}  {told}",
        flush=True,
    )
    return min(loops) / own


@torch.no_grad()
def iterations(cell: str, follow: _parallel.Follow) -> int:
    """Return how many iterations find the states at the weights that a trial begins with."""
    rig = rig_of("deer", cell, 16, 256, 8)
    inputs, carry = rig.batch().inputs, rig.model.initial_state(8)
    return _newton.solve(
        rig.model.cell, rig.model.cell.from_input(inputs), carry, follow
    ).iterations


def main() -> int:
    torch.set_num_threads(1)
    claims: dict[str, bool] = {}
    for cell in ("mingru", "lru"):
        for batch_size in (1, 16):
            won = [speedups("linear_scan", cell, 64, length, batch_size) for length in LENGTHS]
            claims[f"linear_scan beats the loops on {cell}, B = {batch_size}"] = min(won) > 1
    for gradient in ("scan_backward", "deer", "quasi_deer", "quasi_deer_diagonal"):
        tiny, *_, large = [speedups(gradient, "elman", size, 1024, 1) for size in UNITS]
        claims[f"{gradient} pays for H = {UNITS[0]}, B = 1"] = tiny > 1
        if gradient != "quasi_deer_diagonal":
            claims[f"{gradient} does not for H = {UNITS[-1]}"] = large < 1
    for cell in ("elman", "gru", "lstm"):
        whole, unit = iterations(cell, _parallel.follow), iterations(cell, _parallel.follow_within)
        print(f"{cell:6} iterations as it begins: {whole} by J, {unit} by D")
        claims[f"{cell} begins with {ITERATIONS} iterations or one more"] = whole - ITERATIONS in (
            0,
            1,
        )
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}: {claim}")
    return int(not all(claims.values()))


if __name__ == "__main__":
    sys.exit(main())
