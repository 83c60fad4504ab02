"""Sweeps on four nodes, two of them with accelerators in name, one of them lost on the way."""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import combinations

import pytest
from hosts import A100, H100, hosts
from trials import trial

from harness.executors import ray
from harness.executors.local import ask_of
from harness.executors.settings import Settings, Site
from harness.executors.share import soonest
from harness.trial import Choice, Implementation

pytestmark = pytest.mark.ray

NODES = [
    {"num_cpus": 1},
    {"num_cpus": 2, "num_gpus": 2, **H100},
    {"num_cpus": 1, "num_gpus": 1, **A100},
    {"num_cpus": 2},
]


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
    with hosts(NODES) as (address, process):
        settings = Settings(address=address, target="faults:as_told")
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
                process.stdin.write("remove\n")
                process.stdin.flush()
        yield Sweep(site, trials, records, answers, mixed)


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
    assert len(seen) == 2
    assert set(seen) <= {"0", "1"}


def by_place(records, *names):
    """Return the records of what was done, in the order of their beginning, by node and more."""
    found = defaultdict(list)
    for record in sorted(records, key=lambda record: record.started):
        assert record.status == "done", record.reason
        seen = {"cores": tuple(record.environment["affinity"]), "gpu": accelerator(record)}
        found[record.node, *(seen[name] for name in names)].append(record)
    return found


def accelerator(record):
    return record.environment["variables"]["CUDA_VISIBLE_DEVICES"]


def overlaps(records):
    """Return the pairs that shared a node, one of them timed."""
    return [
        (one, other)
        for own in by_place(records).values()
        for one, other in combinations(own, 2)
        if "speed" in (one.trial.measurement, other.trial.measurement)
        if one.started < other.ended and other.started < one.ended
    ]


def apart(one, other):
    """Return whether two timed trials have an accelerator each, and cores."""
    return (
        one.trial.measurement == other.trial.measurement
        and bool(accelerator(one) and accelerator(other))
        and accelerator(one) != accelerator(other)
        and not set(one.environment["affinity"]) & set(other.environment["affinity"])
    )


def test_nothing_shares_a_node_with_a_timed_trial_but_another_accelerator_s(sweep):
    assert [pair for pair in overlaps(sweep.mixed) if not apart(*pair)] == []
    longer = [replace(record, ended=record.ended + 1.0) for record in sweep.mixed]
    assert [pair for pair in overlaps(longer) if not apart(*pair)] != []


def test_two_accelerators_of_a_node_are_timed_side_by_side(sweep):
    pairs = overlaps(sweep.mixed)
    assert {(one.trial.device, other.trial.device) for one, other in pairs} == {
        ("cuda:H100", "cuda:H100")
    }
    assert all(one.trial.block != other.trial.block for one, other in pairs)


def test_every_device_is_served_by_its_own_nodes_alone(sweep):
    found = by_place(sweep.mixed).values()
    served = [sorted({record.trial.device for record in own}) for own in found]
    assert sorted(served) == [["cpu"], ["cpu"], ["cuda:A100"], ["cuda:H100"]]


def test_rivals_of_a_block_share_a_place_one_after_the_other_as_drawn(sweep):
    timed = [record for record in sweep.mixed if record.trial.measurement == "speed"]
    for own in by_place(timed, "gpu", "cores").values():
        trials = [record.trial for record in own]
        for first, second in zip(trials[::2], trials[1::2], strict=True):
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
    assert took < 1.5 * soonest([(1.0, 1), (1.0, 2)], seconds[True], seconds[False])
