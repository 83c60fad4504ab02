"""Faults for as long as you like: python tests/soak.py --minutes 30 --seed 1.

Not a test of the suite, which injects some hundreds of faults in minutes. It runs one sweep after
another, kills at random moments the processes of a local Ray, the command itself, and nodes with
networks of their own, and stops at the first thing that is not as it should be. At the end it says,
for each kind, how long until another was in its place, or nothing of it left.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from itertools import cycle
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "executors")]

from injector import MARK, Injector  # noqa: E402
from network import is_possible  # noqa: E402
from test_faults import outlive  # noqa: E402
from test_faults_command import outlive_cuts, outlive_kills  # noqa: E402

from harness.executors import ray  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    end, seconds, injected = time.monotonic() + 60 * asked.minutes, defaultdict(list), Counter()
    generator = random.Random(asked.seed)
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
    sweeps = cycle([outlive, outlive_kills, *([outlive_cuts] if is_possible() else [])])
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory(prefix="bf-", dir="/tmp") as name:
            ray.TEMPORARY = os.environ[MARK] = name
            injector = Injector(generator, name, Path(name))
            for kind, taken in next(sweeps)(injector, Path(name)):
                seconds[kind].append(taken)
            injected += injector.injected
        print(f"{injected.total()} faults, nothing lost, nothing left", flush=True)
    for kind, each in seconds.items():
        median = statistics.median(each)
        print(f"{kind:18} {len(each):5}  median {median:6.2f} s  max {max(each):6.2f} s")


if __name__ == "__main__":
    main()
