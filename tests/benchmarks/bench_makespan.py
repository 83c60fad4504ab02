"""How close to the soonest possible end does a mixed sweep end? Wanted: within 10 %, no overlap.

Random sweeps of timed and other trials on random clusters of processors of many widths and up to
two kinds, and of two models of accelerators, by simulation. Estimates are off by a factor of two,
one series up and the next down, until trials have shown it. The control takes the trials as they
were drawn, each timed one alone on its node.

Then one such sweep on a real Ray of five nodes, of trials that sleep as long as is known: there
launching a trial counts too.
"""

import random
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "executors"))

from bound import bound
from hosts import H100
from hosts import hosts as running
from simulation import FirstCome, Host, Run, overlaps, simulate, sweep

from harness.executors import ray
from harness.executors.schedule import Schedule
from harness.executors.settings import Settings
from harness.executors.work import Place, Work
from harness.trial import Limits, Trial

WANTED = 1.10
SWEEPS = 40
SHORTEST, LONGEST = 0.2, 3.0  # seconds of a real trial; launching one takes about 0.02
REAL_SECONDS = 45.0  # soonest end of the real sweep, on its processors and on its accelerators
SEED = 7
NODES = {
    "one": Host(1),
    "two": Host(2),
    "other": Host(2),
    "single": Host(1, 1, "cuda:H100"),
    "double": Host(2, 2, "cuda:H100"),
}
LAYOUT = [
    {"num_cpus": host.cores, "num_gpus": host.gpus, **more}
    for host, more in zip(NODES.values(), ({}, {}, {}, H100, H100), strict=True)
]


@dataclass(frozen=True)
class Outcome:
    """How a sweep went: its end as a multiple of the soonest, and what shared a node wrongly."""

    ratio: float
    overlaps: int


def cluster(rng: random.Random) -> dict[str, Host]:
    """Return up to eight nodes; of the processors' there is always one, of four cores."""
    kinds = rng.choice([["one"], ["one", "other"]])
    hosts = {"cpu0": Host(4, kind="one")}
    for index in range(rng.randint(1, 4)):
        hosts[f"cpu{index + 1}"] = Host(rng.choice([1, 2, 4, 8, 16]), kind=rng.choice(kinds))
    for index in range(rng.randint(0, 2)):
        hosts[f"h100-{index}"] = Host(8, rng.choice([1, 2, 4, 8]), "cuda:H100")
    if rng.random() < 0.5:
        hosts["a100"] = Host(8, rng.choice([1, 2]), "cuda:A100")
    return hosts


def devices(hosts: dict[str, Host]) -> list[str]:
    return ["cpu", *sorted({host.accelerator for host in hosts.values() if host.gpus})]


def simulated(seed: int) -> tuple[Outcome, Outcome]:
    """Return what became of a random sweep on a random cluster, by us and by the control."""
    rng = random.Random(seed)
    hosts = cluster(rng)
    works, truth = sweep(rng, devices(hosts), rng.choice([(1,), (1, 2, 4)]), settings=6)
    soonest = bound(works, truth, hosts)
    found = []
    for kind in (Schedule, FirstCome):
        runs = simulate(kind, works, hosts, truth)
        found.append(Outcome(end(runs) / soonest, len(overlaps(runs, hosts))))
    return found[0], found[1]


def end(runs: list[Run]) -> float:
    return max(run.ended for run in runs) - min(run.began for run in runs)


def clipped(works: list[Work], drawn: dict[int, float], scale: float) -> dict[int, float]:
    seconds = {work.index: scale * drawn[work.index] for work in works}
    return {index: min(LONGEST, max(SHORTEST, each)) for index, each in seconds.items()}


def slept() -> tuple[dict[str, Work], dict[str, float], list[Trial]]:
    """Return works and the seconds foretold, by the ids of trials that sleep for their seeds."""
    works, drawn = sweep(random.Random(SEED), devices(NODES), settings=4, rivals=3, blocks=3)
    truth: dict[int, float] = {}
    for device in devices(NODES):
        mine = [work for work in works if work.device == device]
        scale = SHORTEST / max(drawn.values())
        while bound(mine, truth | clipped(mine, drawn, scale), NODES) < REAL_SECONDS:
            scale *= 1.05
        truth |= clipped(mine, drawn, scale)
    by_id, expected, trials = {}, {}, []
    for work in works:
        own = {"seed": round(1000 * truth[work.index]), "limits": Limits(seconds=60.0)}
        trials.append(replace(Trial.from_json(work.payload), **own))
        by_id[trials[-1].id] = work
        expected[trials[-1].id] = work.expected * truth[work.index] / drawn[work.index]
    return by_id, expected, trials


def real() -> tuple[Outcome, int, float]:
    """Return what became of a sweep on a real Ray, of how many trials, and how it took its nodes.

    The last: the seconds from the first trial to the first of the node that was there last.
    """
    works, expected, trials = slept()
    runs, hosts = [], {}
    with running(LAYOUT) as (address, _):
        settings = Settings(address=address, target="faults:rest", expected=expected)
        for record in ray.run(trials, settings):
            assert record.status == "done", record.reason
            environment, work = record.environment, works[record.trial.id]
            gpu = environment["variables"]["CUDA_VISIBLE_DEVICES"]
            place = Place(record.node, tuple(environment["affinity"]), gpu, work.exclusive)
            runs.append(Run(work, place, record.started, record.ended))
            hosts[record.node] = next(
                host for host in NODES.values() if work.device in ("cpu", host.accelerator)
            )
    begins = {name: min(run.began for run in runs if run.place.node == name) for name in hosts}
    truth = {works[trial.id].index: trial.seed / 1000 for trial in trials}
    ratio = end(runs) / bound(list(works.values()), truth, NODES)
    late = max(begins.values()) - min(begins.values())
    return Outcome(ratio, len(overlaps(runs, hosts))), len(runs), late


def main() -> int:
    both = [simulated(seed) for seed in range(SWEEPS)]
    for name, found in zip(("longest first", "as drawn"), zip(*both, strict=True), strict=True):
        ratios = [each.ratio for each in found]
        middle, worst = statistics.median(ratios), max(ratios)
        print(f"{name:13}  end / soonest end: median {middle:.3f}, worst {worst:.3f}")
    found = [each for each, _ in both]
    shared = sum(each.overlaps for each in found)
    print(f"{SWEEPS} sweeps by simulation; overlaps with a timed trial: {shared}")
    once, trials, late = real()
    print(f"on a real Ray  end / soonest end: {once.ratio:.3f}, overlaps: {once.overlaps}")
    print(f"{trials} trials on {len(NODES)} nodes, the last of them {late:.1f} s after the first")
    print(f"wanted: every sweep within {WANTED:.2f}, and no overlap")
    found.append(once)
    return int(any(each.ratio > WANTED or each.overlaps for each in found))


if __name__ == "__main__":
    sys.exit(main())
