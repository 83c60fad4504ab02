"""How close to the soonest possible end does a mixed sweep end? Wanted: within 10 %, no overlap.

Random sweeps of timed and other trials on random clusters of processors of many widths and of two
models of accelerators, by simulation. Estimates are off by a factor of two, one series up and the
next down, until trials have shown it. The control takes the trials as they were drawn.
"""

import random
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "executors"))

from simulation import FirstCome, Host, bound, overlaps, simulate, sweep

from harness.executors.schedule import Schedule

WANTED = 1.10
SWEEPS = 40


def cluster(rng: random.Random) -> dict[str, Host]:
    """Return up to eight nodes; of the processors' there is always one, of four cores."""
    hosts = {"cpu0": Host(4)}
    for index in range(rng.randint(1, 4)):
        hosts[f"cpu{index + 1}"] = Host(rng.choice([1, 2, 4, 8, 16]))
    for index in range(rng.randint(0, 2)):
        hosts[f"h100-{index}"] = Host(8, rng.choice([1, 2, 4]), "cuda:H100")
    if rng.random() < 0.5:
        hosts["a100"] = Host(8, rng.choice([1, 2]), "cuda:A100")
    return hosts


def main() -> int:
    ours, control, shared = [], [], 0
    for seed in range(SWEEPS):
        rng = random.Random(seed)
        hosts = cluster(rng)
        devices = ["cpu", *sorted({host.accelerator for host in hosts.values() if host.gpus})]
        works, truth = sweep(rng, devices, rng.choice([(1,), (1, 2, 4)]), settings=6)
        soonest = bound(works, truth, hosts)
        runs = simulate(Schedule(works), hosts, truth)
        drawn = simulate(FirstCome(works), hosts, truth)
        shared += len(overlaps(runs))
        ours.append(max(run.ended for run in runs) / soonest)
        control.append(max(run.ended for run in drawn) / soonest)
    for name, ratios in (("longest first", ours), ("as drawn", control)):
        middle, worst = statistics.median(ratios), max(ratios)
        print(f"{name:13}  end / soonest end: median {middle:.3f}, worst {worst:.3f}")
    print(f"{SWEEPS} sweeps of {len(works):,} trials; overlaps with a timed trial: {shared}")
    print(f"wanted: every sweep within {WANTED:.2f}, and no overlap")
    return int(max(ours) > WANTED or shared > 0)


if __name__ == "__main__":
    sys.exit(main())
