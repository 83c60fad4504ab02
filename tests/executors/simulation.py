"""Sweeps whose trials only take time, on clusters that are only numbers: who ran where and when."""

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass

from trials import trial

from harness.executors.node import Node
from harness.executors.schedule import Schedule
from harness.executors.waiting import Unit
from harness.executors.work import Place, Work
from harness.trial import Choice, Implementation, Limits

OFF = 0.7  # of the log of a series' time over what was foretold: twice as long, or half
SPREAD = 0.1  # of the log of a trial's time, from one block to the next
SECONDS = {"speed": 4.0, "memory": 2.0, "gradients": 6.0, "training": 20.0}  # of a median trial


@dataclass(frozen=True)
class Host:
    cores: int
    gpus: int = 0
    accelerator: str = ""
    kind: str = ""

    def seats(self, work):
        """Return how many such timed trials may run here at a time, each with its accelerator."""
        apart = work.device != "cpu" and work.threads * self.gpus <= self.cores
        return max(1, self.gpus) if apart else 1


@dataclass(frozen=True)
class Run:
    work: Work
    place: Place
    began: float
    ended: float


class FirstCome(Schedule):
    """The control: trials as they were drawn, a timed one alone, once its node is empty."""

    def __init__(self, works, clock):
        super().__init__(works, clock)
        self._drawn = list(works)

    def next(self, name):
        node = self.nodes[name]
        for work in self._drawn:
            if self._suits(name, work.device, work.threads):
                short = len(node.free_cores) < work.threads or (work.exclusive and node.packed)
                if short or node.alone or (work.device != "cpu" and not node.free_gpus):
                    return None
                self._drawn.remove(work)
                gpu = "" if work.device == "cpu" else node.free_gpus[0]
                if work.exclusive:
                    node.timed[gpu], node.alone = Unit(work.device, work.threads, ""), True
                return self._place(name, work, node.free_cores, gpu)
        return None

    def learn(self, work, seconds):
        pass


def sweep(rng, devices=("cpu",), threads=(1,), settings=4, rivals=5, blocks=6):
    """Return works as a sweep draws them, and the seconds that each will really take."""
    works, truth, series = [], {}, defaultdict(lambda: math.exp(rng.gauss(0.0, OFF)))
    lengths = [2**power for power in rng.sample(range(5), 2)]
    places = [
        (device := rng.choice(devices), rng.choice(threads if device == "cpu" else (1,)))
        for _ in range(settings)
    ]
    points = [(*each, place, length) for place, each in enumerate(places) for length in lengths]
    size = {name: seconds * rng.uniform(0.5, 2.0) for name, seconds in SECONDS.items()}
    for block in range(blocks):
        for group in (("speed",), ("memory", "gradients", "training")):
            for (device, wide, place, length), name in [(p, n) for p in points for n in group]:
                for rival in rng.sample(range(rivals), rivals):
                    one = trial(
                        measurement=name,
                        block=block,
                        cell=Choice(f"cell{place}"),
                        implementation=Implementation(Choice(f"rival{rival}")),
                        sequence_length=length,
                        device=device,
                        threads=wide,
                        limits=Limits(seconds=math.inf),
                    )
                    foretold = size[name] * (1 + rival) * length**0.5 / 6
                    works.append(Work.of(len(works), one, 0, foretold))
                    real = foretold * series[name, place, rival]
                    truth[works[-1].index] = real * math.exp(rng.gauss(0.0, SPREAD))
    return works, truth


def simulate(kind, works, hosts, truth):
    """Return every run of a kind of schedule on hosts by name, in the order of its beginning."""
    now, made = 0.0, kind(works, lambda: now)
    for name, host in hosts.items():
        made.nodes[name] = Node(host.cores, host.gpus, host.accelerator)
    for name, host in hosts.items():
        made.open(name, range(host.cores), list(map(str, range(host.gpus))), host.kind)
    runs, running = [], []
    while True:
        for name in hosts:
            while given := made.next(name):
                work, place = given
                run = Run(work, place, now, now + truth[work.index])
                runs.append(run)
                heapq.heappush(running, (run.ended, len(runs), run))
        if not running:
            return runs
        now, _, run = heapq.heappop(running)
        made.release(run.place)
        made.learn(run.work, run.ended - run.began)


def overlaps(runs, hosts):
    """Return the pairs of runs that shared a node against the rules, one of them timed."""
    by_node = defaultdict(list)
    for run in runs:
        by_node[run.place.node].append(run)
    return [
        (one, other)
        for name, each in by_node.items()
        for one in each
        for other in each
        if one.work.exclusive and one is not other
        if one.began < other.ended and other.began < one.ended
        if not apart(one, other, hosts[name])
    ]


def apart(one, other, host):
    """Return whether two runs may be timed side by side."""
    return (
        one.work.exclusive
        and other.work.exclusive
        and host.seats(one.work) > 1 < host.seats(other.work)
        and one.place.gpu != other.place.gpu
        and not set(one.place.cores) & set(other.place.cores)
    )
