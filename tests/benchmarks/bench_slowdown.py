"""Is a method that does 3 % more found out? Wanted: in 9 of 10 sweeps of the default 8 blocks.

The method is a plugin file. How much slower it is, is measured beside the sweeps in one process, in
turns with full BPTT; clearly more than 3 % would be no feat to find. A sweep has found it where it
calls it slower at most of its lengths.
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
LENGTHS = (32, 48, 64)  # from one A/A pair alone a margin is so wide that a quarter are missed
WANTED = 9
MOST_PLANTED = 1.035
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
    easy = False
    for length in LENGTHS:
        ratio = planted(length)
        easy |= ratio.low > MOST_PLANTED
        print(f"T = {length}: {ratio.estimate:.4f} [{ratio.low:.4f}, {ratio.high:.4f}] is planted")
    measured = frames(trials("slower", range(SWEEPS), LENGTHS))
    found = [verdicts(frame) for frame in measured.values()]
    print(scatter(measured.values()))
    slower = sum(bool((table["verdict"] == "slower").mean() > 1 / 2) for table in found)
    print(f"found in {slower} of {SWEEPS} sweeps ({told(found)})")
    if easy:
        print(f"more than {MOST_PLANTED - 1:.1%} was planted")
    return int(slower < WANTED or easy)


if __name__ == "__main__":
    sys.exit(main())
