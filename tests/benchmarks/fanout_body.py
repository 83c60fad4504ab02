"""The trivial trial of bench_fanout.py, torch imported, for our fork server and for Ray Tune.

As a script, it has Ray Tune run as many as it is told, and prints the seconds that took.
"""

import sys
import time

import torch

from harness.trial import Record, Trial


def prepare():
    """Nothing to do before the first trial."""


def body():
    return torch.__version__


def run_json(payload):
    body()
    return Record(trial=Trial.from_json(payload), status="done").to_json()


def tuned(config):
    return {"length": len(body())}


def main() -> None:
    import ray
    from ray import tune

    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    count = int(sys.argv[1])
    began = time.perf_counter()
    tuner = tune.Tuner(
        tuned,
        tune_config=tune.TuneConfig(num_samples=count),
        run_config=tune.RunConfig(storage_path=sys.argv[2], verbose=0),
    )
    assert len(tuner.fit()) == count
    print(f"seconds {time.perf_counter() - began}")
    ray.shutdown()


if __name__ == "__main__":
    main()
