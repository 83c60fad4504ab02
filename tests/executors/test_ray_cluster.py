"""Sweeps on four nodes, two of them with accelerators in name, one of them lost on the way."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from trials import trial

from harness.executors import ray
from harness.executors.local import ask_of
from harness.executors.settings import Settings, Site
from harness.executors.share import soonest
from harness.trial import Choice, Implementation

pytestmark = pytest.mark.ray

HERE = Path(__file__).parent
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # on both sides, or 127.0.0.1 is replaced


@dataclass(frozen=True)
class Sweep:
    site: Site
    trials: list
    records: list
    answers: list
    mixed: list  # records of a sweep of both kinds, before the loss


def mixed_sweep(settings):
    """Return trials of both kinds and three devices, and settings that know how long they take."""
    timed = [
        trial(
            "sleep",
            measurement="speed",
            sequence_length=200,
            hidden_size=setting,
            block=block,
            device=device,
            implementation=Implementation(Choice(f"rival{rival}")),
        )
        for device in ("cpu", "cuda:A100", "cuda:H100")
        for block in range(3)
        for setting in range(2 if device == "cpu" else 1)
        for rival in (1, 0)
    ]
    packed = [
        trial("sleep", sequence_length=100 + 20 * n, device=device, hidden_size=n)
        for device, count in (("cpu", 24), ("cuda:H100", 3))
        for n in range(count)
    ]
    trials = [*timed, *packed]
    expected = {each.id: each.sequence_length / 1000 for each in trials}
    return trials, replace(settings, expected=expected)


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
        site = ray.look(settings)
        mixed = list(ray.run(*mixed_sweep(settings)))
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
        yield Sweep(site, trials, records, answers, mixed)
    finally:
        patch.undo()
        hosts.communicate(timeout=30)


def test_the_cluster_tells_its_kinds_of_device(sweep):
    assert sweep.site.devices == ("cpu", "cuda:A100", "cuda:H100")


def test_a_cluster_without_a_token_is_known_to_be_open(sweep):
    assert sweep.site.open


def test_a_survey_asks_every_node_everything_in_order(sweep):
    asked = {}
    for answer in sweep.answers:
        assert answer.report.result["status"] == "done", answer
        asked.setdefault(answer.node, []).append(answer.index)
    assert list(asked.values()) == [[0, 1]] * 4  # nodes, told apart though their host is one


def test_every_trial_is_done_once_though_a_node_was_lost(sweep):
    got = Counter((record.trial.id, record.status) for record in sweep.records)
    assert got == Counter((each.id, "done") for each in sweep.trials)


def test_a_trial_for_an_accelerator_is_given_one(sweep):
    seen = [record.values["cuda"] for record in sweep.records if record.trial.device == "cuda"]
    assert seen == ["0", "0"]


def spans(records):
    """Return the recorded times by node."""
    found = defaultdict(list)
    for record in records:
        assert record.status == "done", record.reason
        found[record.node].append((record.started, record.ended, record.trial))
    return found


def overlaps(found):
    return [
        (one, other)
        for own in found.values()
        for began, ended, one in own
        for other_began, other_ended, other in own
        if one.measurement == "speed" and one is not other
        if began < other_ended and other_began < ended
    ]


def test_nothing_shares_a_node_with_a_timed_trial(sweep):
    assert overlaps(spans(sweep.mixed)) == []
    longer = [replace(record, ended=record.ended + 1.0) for record in sweep.mixed]
    assert overlaps(spans(longer)) != []


def test_every_device_is_served_by_its_own_nodes_alone(sweep):
    served = {node: {each.device for _, _, each in own} for node, own in spans(sweep.mixed).items()}
    assert sorted(map(sorted, served.values())) == [["cpu"], ["cpu"], ["cuda:A100"], ["cuda:H100"]]


def test_rivals_of_a_block_share_a_node_one_after_the_other_as_drawn(sweep):
    for own in spans(sweep.mixed).values():
        timed = [
            each
            for _, _, each in sorted(own, key=lambda span: span[0])
            if each.measurement == "speed"
        ]
        for first, second in zip(timed[::2], timed[1::2], strict=True):
            assert (first.block, first.hidden_size) == (second.block, second.hidden_size)
            assert [str(each.implementation.gradient) for each in (first, second)] == [
                "rival1",
                "rival0",
            ]


def test_a_mixed_sweep_ends_soon_on_processors_of_two_widths(sweep):
    mine = [record for record in sweep.mixed if record.trial.device == "cpu"]
    seconds = {True: 0.0, False: 0.0}
    for record in mine:
        seconds[record.trial.measurement == "speed"] += record.ended - record.started
    took = max(record.ended for record in mine) - min(record.started for record in mine)
    # What passes between two trials, 10 ms of 200 when quiet, counts too: bench_makespan is strict.
    assert took < 1.5 * soonest([1, 2], seconds[True], seconds[False])
