"""Is a method that does 3 % more found out? Wanted: in 9 of 10 sweeps of the default 8 blocks.

The method is a plugin file. How much slower it is, is measured beside the sweeps in one process, in
turns with full BPTT.
"""

import sys
from dataclasses import replace

import torch
from bench_overhead import rig_of
from rivals import frames, scatter, told, trials, verdicts
from slower import Slower

from harness.measure.stopwatch import stopwatch_of
from harness.stats import Interval, paired_ratio

SWEEPS = 10
LENGTHS = (48,)
WANTED = 9
TURNS = 400


def planted(length: int) -> Interval:
    """Return the slowdown, from turns in one process."""
    torch.set_num_threads(1)
    watch, rig = stopwatch_of(torch.device("cpu"), lambda: None), rig_of(length)
    batch, generator, optimizer = rig.batch(), rig.generator("method"), rig.optimizer(0.0)
    plain = rig.drive(optimizer)
    drives = {True: replace(plain, method=Slower()), False: plain}
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(TURNS):
        for slow in (True, False) if turn % 2 else (False, True):
            drive = drives[slow]
            sample = watch.sample(lambda: drive.sequence(batch, drive.begin(8, generator)), 1)  # noqa: B023
            seconds[slow].append(sample.seconds)
    return paired_ratio(seconds[True], seconds[False])


def main() -> int:
    for length in LENGTHS:
        ratio = planted(length)
        print(f"T = {length}: {ratio.estimate:.4f} [{ratio.low:.4f}, {ratio.high:.4f}] is planted")
    measured = frames(trials("slower", range(SWEEPS), LENGTHS))
    found = [verdicts(frame) for frame in measured.values()]
    print(scatter(measured.values()))
    slower = sum(bool((table["verdict"] == "slower").any()) for table in found)
    print(f"found in {slower} of {SWEEPS} sweeps ({told(found)})")
    return int(slower < WANTED)


if __name__ == "__main__":
    sys.exit(main())
