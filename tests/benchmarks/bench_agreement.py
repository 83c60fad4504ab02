"""Does the harness's median agree with torch.utils.benchmark's, in either order? Wanted: 2 %.

Two works, each from 100 us to 1 s: one that watches the clock until its time is up, so that what is
true is known and both are held to it; and products of matrices, which take what the machine lets
them. A machine that moves by a tenth between two turns says little in one of them: the turns are
short and many, one timer after the other, and the ratio is Hodges and Lehmann's of all turns.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.utils.benchmark import Timer

from harness.measure.speed import _runs_per_sample, _sample
from harness.measure.stopwatch import stopwatch_of
from harness.stats import paired_ratio
from harness.trial import SpeedProtocol

WANTED = 0.02
TURNS = {1e-4: 400, 1e-3: 400, 1e-2: 300, 1e-1: 100, 1.0: 30}  # seconds of work: of each order
CLOCKED_TURNS = 10  # of work that no machine slows down
SHORTEST = SpeedProtocol(min_samples=3, min_seconds=0.0, max_seconds=0.0)  # it stops at 3 samples
WATCH = stopwatch_of(torch.device("cpu"), lambda: None)
SIDE = 96

Work = Callable[[], None]


def clocked(seconds: float) -> Work:
    """Return a function that takes so long, on any machine."""

    def wait() -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    return wait


def products(seconds: float) -> Work:
    """Return a function that takes about so long."""
    a, out = torch.randn(SIDE, SIDE), torch.empty(SIDE, SIDE)

    def multiply(count: int) -> None:
        for _ in range(count):
            torch.mm(a, a, out=out)

    multiply(2000)
    start = time.perf_counter()
    multiply(2000)
    count = max(1, round(seconds / ((time.perf_counter() - start) / 2000)))
    return lambda: multiply(count)


def by_harness(run: Work) -> float:
    warm = WATCH.sample(run, 1).seconds
    count = _runs_per_sample(warm, WATCH.cost_seconds(), SHORTEST)
    samples, _ = _sample(lambda: WATCH.sample(run, count), SHORTEST)
    return statistics.median(sample.seconds for sample in samples)


def by_torch(run: Work) -> float:
    return Timer("run()", globals={"run": run}).blocked_autorange(min_run_time=0.03).median


def compared(run: Work, turns: int, title: str) -> float:
    """Print how the two agree on `run`, and return how far off the worse of the two orders is."""
    both: dict[str, tuple[list[float], list[float]]] = {
        "harness first": ([], []),
        "torch first": ([], []),
    }
    for _ in range(turns):
        for order, (ours, theirs) in both.items():
            timers = [(ours, by_harness), (theirs, by_torch)]
            for seconds, timer in timers if order == "harness first" else reversed(timers):
                seconds.append(timer(run))
    worst = 0.0
    for order, (ours, theirs) in both.items():
        ratio = paired_ratio(ours, theirs)
        worst = max(worst, abs(ratio.estimate - 1))
        print(
            f"{title}  {order:13}  harness / torch {ratio.estimate:.4f}"
            f" [{ratio.low:.4f}, {ratio.high:.4f}]  median {statistics.median(ours):.6f} s",
            flush=True,
        )
    return worst


def main() -> int:
    torch.set_num_threads(1)
    worst = {"clocked": 0.0, "products": 0.0}
    for seconds, turns in TURNS.items():
        for name, run, count in (
            ("clocked", clocked(seconds), min(turns, CLOCKED_TURNS)),
            ("products", products(seconds), turns),
        ):
            title = f"{name:8} {seconds:6g} s"
            worst[name] = max(worst[name], compared(run, count, title))
    for name, found in worst.items():
        print(f"{name}: worst of an order {found:.2%} from 1; wanted: {WANTED:.0%}")
    return int(max(worst.values()) > WANTED)


if __name__ == "__main__":
    sys.exit(main())
