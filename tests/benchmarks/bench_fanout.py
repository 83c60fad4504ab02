"""What does a fresh process for every trial cost? All in one run, the rivals in turns.

Wanted: 50 times the trials a second of Ray Tune's function trials, 0.8 of what the fork server does
without Ray; with 10,000 trials flat memory and no more in flight than there are cores; the first
record of a local sweep in 12 s, of which Ray's own start is most, and of an inline one in 4 s.

Ray Tune needs pyarrow: pip install -e .[bench]. `--trials 500` makes the long part short.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))  # where fork servers find fanout_body
sys.path.insert(0, str(Path(__file__).parents[1] / "executors"))

from trials import trial

from harness.executors import ray
from harness.executors.client import Client, Launch, environment
from harness.executors.cores import physical_cores
from harness.executors.protocol import Request
from harness.executors.settings import Settings

HERE = Path(__file__).parent
SETTINGS = Settings(target="fanout_body:run_json")
ROUNDS = 3
FRESH, TUNED = 200, 6  # trials a round
EARLY = 0.2  # of the trials: from then on memory is to be flat
TUNE_TIMES, SHARE_OF_SERVER, GROWTH = 50.0, 0.8, 1.05
RAY_FIRST_SECONDS, INLINE_FIRST_SECONDS, RAY_SHARE = 12.0, 4.0, 0.5
SWEEP = """
schema = 1
[sweep]
name = "first"
[axes]
sequence_length = 16
cell = "elman"
task = "adding"
hidden_size = 8
device = "cpu"
[[implementation]]
gradient = "full_bptt"
baseline = true
[measure]
passes = ["memory"]
"""
START = (
    "import time; began = time.perf_counter(); import ray; "
    "ray.init('local', num_cpus=1, include_dashboard=False, log_to_driver=False); "
    "print(time.perf_counter() - began)"
)


def many(count):
    """Return so many trials that differ."""
    return [replace(trial(), seed=seed) for seed in range(count)]


def with_ray(count):
    """Return the trials a second of the executor, Ray's start not counted."""
    ends = [time.perf_counter() for _ in ray.run(many(count), SETTINGS)]
    return (count - 1) / (ends[-1] - ends[0])


def without_ray(count):
    """Return the trials a second of the fork server alone, with as many at a time."""
    cores = physical_cores()
    launch = Launch(SETTINGS.module)
    client = Client(launch.path)
    try:
        running, ends = deque(), []
        for index, one in enumerate(many(count)):
            if len(running) == len(cores):
                assert running.popleft().result().result["status"] == "done"
                ends.append(time.perf_counter())
            core = (cores[index % len(cores)],)
            request = Request(str(index), SETTINGS.target, one.to_json(), 30.0, cores=core)
            running.append(client.submit(request))
        return (len(ends) - 1) / (ends[-1] - ends[0])
    finally:
        client.close()
        launch.close()


def with_tune(count):
    """Return the trials a second of Ray Tune, Ray's start not counted."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", str(HERE / "fanout_body.py"), str(count), folder]
        said = subprocess.run(command, capture_output=True, text=True, env=_quiet(), check=False)
    if said.returncode != 0:
        raise SystemExit(f"Ray Tune did not run: {said.stderr.strip().splitlines()[-1]}")
    [seconds] = [line.split()[1] for line in said.stdout.splitlines() if line.startswith("seconds")]
    return count / float(seconds)


def long_run(count):
    """Return the largest growth of a process's memory, and the most trials in flight."""
    trials, began, most = many(count), 0, 0
    early: dict[psutil.Process, int] = {}
    growth = 0.0

    def on_start(*_):
        nonlocal began
        began += 1

    for ended, _ in enumerate(ray.run(trials, SETTINGS, on_start), start=1):
        most = max(most, began - ended + 1)
        if ended == int(EARLY * count):
            early = {each: each.memory_info().rss for each in _drivers()}
        if ended == count - 1:
            growth = max(each.memory_info().rss / rss for each, rss in early.items())
    return growth, most


def first_record(executor):
    """Return the seconds from the command to its first record."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "first.toml").write_text(SWEEP)
        began = time.perf_counter()
        bptt = str(Path(sys.executable).with_name("bptt"))
        command = [bptt, "sweep", f"{folder}/first.toml", "--json"]
        process = subprocess.Popen(
            [*command, "--results", folder, "--executor", executor],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for line in process.stdout:
            if json.loads(line)["event"] == "record":
                seconds = time.perf_counter() - began
                process.communicate()
                return seconds
    raise SystemExit(f"the {executor} sweep gave no record")


def ray_start():
    """Return the seconds of Ray's import and start."""
    said = subprocess.run(
        [sys.executable, "-c", START], capture_output=True, text=True, env=_quiet(), check=True
    )
    return float(said.stdout.split()[-1])


def _drivers():
    own = psutil.Process()
    words = "harness.executors.driver"
    return [own, *(one for one in own.children() if words in " ".join(one.cmdline()))]


def _quiet():
    return {
        **environment(),
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10_000)
    count = parser.parse_args().trials
    missed = 0

    def tell(what, got, wanted, ok):
        nonlocal missed
        missed += not ok
        print(f"{what:44} {got:>22}  wanted: {wanted:20} {'' if ok else 'MISSED'}", flush=True)

    ours, alone, tune = [], [], []
    for turn in range(ROUNDS):
        for way, rates, size in ((with_ray, ours, FRESH), (without_ray, alone, FRESH))[
            :: 1 - 2 * (turn % 2)
        ]:
            rates.append(way(size))
        tune.append(with_tune(TUNED))
    times = statistics.median(a / b for a, b in zip(ours, tune, strict=True))
    share = statistics.median(a / b for a, b in zip(ours, alone, strict=True))
    print(f"trials/s: ours {ours}, fork server alone {alone}, Ray Tune {tune}")
    tell("ours / Ray Tune", f"{times:.0f}", f">= {TUNE_TIMES:.0f}", times >= TUNE_TIMES)
    tell(
        "ours / the same fork server without Ray",
        f"{share:.2f}",
        ">= 0.8",
        share >= SHARE_OF_SERVER,
    )
    starts = statistics.median(ray_start() for _ in range(ROUNDS))
    local = statistics.median(first_record("ray") for _ in range(ROUNDS))
    inline = statistics.median(first_record("inline") for _ in range(ROUNDS))
    tell("first record of a local sweep", f"{local:.1f} s", "< 12 s", local < RAY_FIRST_SECONDS)
    tell("Ray's own start of that", f"{starts / local:.2f}", "> 0.5", starts / local > RAY_SHARE)
    tell("first record, inline", f"{inline:.1f} s", "< 4 s", inline < INLINE_FIRST_SECONDS)
    growth, most = long_run(count)
    tell(
        f"memory, last of {count:,} / after a fifth",
        f"{growth:.3f}",
        f"<= {GROWTH}",
        growth <= GROWTH,
    )
    cores = len(physical_cores())
    tell("most in flight", str(most), f"<= {cores}", most <= cores)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
