"""A sweep on three nodes, one of them with an accelerator in name, one of them lost on the way."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from trials import trial

from harness.executors import ray
from harness.executors.local import ask_of
from harness.executors.settings import Settings

pytestmark = pytest.mark.ray

HERE = Path(__file__).parent
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # on both sides, or 127.0.0.1 is replaced


@dataclass(frozen=True)
class Sweep:
    devices: tuple
    trials: list
    records: list
    answers: list


@pytest.fixture(scope="module")
def sweep():
    hosts = subprocess.Popen(
        [sys.executable, str(HERE / "hosts.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            **LOOPBACK,
            "PYTHONPATH": str(HERE),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
        },
    )
    patch = pytest.MonkeyPatch()
    for name, value in LOOPBACK.items():
        patch.setenv(name, value)
    try:
        settings = Settings(address=hosts.stdout.readline().strip(), target="faults:as_told")
        asks = [ask_of(trial("describe_done", hidden_size=n), settings.target) for n in range(2)]
        answers = list(ray.survey(asks, settings))
        kinds = ray.devices(settings)
        trials = [
            trial("sleep", measurement=kind, sequence_length=250, hidden_size=size, block=block)
            for block in range(4)
            for kind in ("memory", "speed")
            for size in range(3)
        ]
        trials += [trial("describe_done", device="cuda", hidden_size=size) for size in range(2)]
        records = []
        for record in ray.run(trials, settings):
            records.append(record)
            if len(records) == 5:
                hosts.stdin.write("remove\n")
                hosts.stdin.flush()
        yield Sweep(kinds, trials, records, answers)
    finally:
        patch.undo()
        hosts.communicate(timeout=30)


def test_the_cluster_tells_its_kinds_of_device(sweep):
    assert sweep.devices == ("cpu", "cuda")


def test_a_survey_asks_every_node_everything_in_order(sweep):
    asked = {}
    for answer in sweep.answers:
        assert answer.report.result["status"] == "done", answer
        asked.setdefault(answer.node, []).append(answer.index)
    assert list(asked.values()) == [[0, 1]] * 3  # nodes, told apart though their host is one


def test_every_trial_is_done_once_though_a_node_was_lost(sweep):
    got = Counter((record.trial.id, record.status) for record in sweep.records)
    assert got == Counter((each.id, "done") for each in sweep.trials)


def test_a_trial_for_an_accelerator_is_given_one(sweep):
    seen = [record.values["cuda"] for record in sweep.records if record.trial.device == "cuda"]
    assert seen == ["0", "0"]
