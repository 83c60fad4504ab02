"""What one lack of memory says of others, and of which it says nothing."""

import threading
from dataclasses import replace

import pytest
from trials import trial

from harness.executors import implied, ray
from harness.executors.cluster import Cluster, Offer
from harness.executors.fleet import Fleet
from harness.executors.implied import Ooms
from harness.executors.protocol import Report
from harness.executors.schedule import Schedule
from harness.executors.settings import Settings, Setup
from harness.executors.work import Work
from harness.trial import Choice, Implementation, Limits, Record, Trial

LIMIT = Limits(memory_bytes=2**30)
LOWER, HIGHER = Limits(memory_bytes=2**29), Limits(memory_bytes=2**31)
OTHER = Implementation(Choice("checkpointed"), label="checkpointed")
LACK = {"asked_bytes": 2**20, "free_bytes": 2**10, "steady": True}
OWN = {**LACK, "short_of": "limit"}
NODE = {**LACK, "short_of": "node"}
A = ("a", "")
FULL = {**LACK, "short_of": "accelerator"}


def of(length=64, block=0, **changes):
    return trial(**{"sequence_length": length, "block": block, "limits": LIMIT, **changes})


def oom(of, values=OWN):
    return Record(of, "oom", "asked for 1.0 MiB, 1.0 KiB were free", "shorten it", values)


def done(of):
    return Record(of, "done")


def knowing(*records, seat=A, alone=False):
    ooms = Ooms()
    for each in records:
        ooms.learn(each, seat, alone)
    return ooms


@pytest.mark.parametrize(
    "other",
    [
        of(64, block=1),
        of(128),
        of(128, block=1, limits=LOWER),
        of(64, replica=1),
        of(64, block=1, implementation=Implementation(Choice("full_bptt"), label="renamed")),
    ],
    ids=["another block", "longer", "with a lower limit", "the A/A copy", "by another name"],
)
def test_what_is_alike_and_no_shorter_would_run_out_too_wherever_it_runs(other):
    source = oom(of(64))
    assert knowing(source).source(other, ("b", "")) == source


@pytest.mark.parametrize(
    "other",
    [
        of(63, block=1),
        of(64, block=1, cell=Choice("lstm")),
        of(64, block=1, implementation=OTHER),
        of(64, block=1, measurement="speed"),
        of(64, block=1, batch_size=2),
        of(64, block=1, device="cuda"),
        of(64, block=1, limits=HIGHER),
        of(64, block=1, limits=Limits()),
    ],
    ids=[
        "shorter",
        "another cell",
        "another method",
        "another measurement",
        "a larger batch",
        "another device",
        "with a higher limit",
        "with none",
    ],
)
def test_of_all_else_it_says_nothing(other):
    assert knowing(oom(of(64)), alone=True).source(other, A) is None


@pytest.mark.parametrize(
    ("values", "alone", "told"),
    [
        (NODE, False, ()),
        (NODE, True, ("a",)),
        (FULL, False, ("a",)),
        (OWN, False, ("a", "b")),
        ({**OWN, "steady": False}, True, ()),
        ({}, True, ()),
    ],
    ids=[
        "a node's, beside others",
        "a node's, alone",
        "an accelerator's",
        "its own limit",
        "of memory that is drawn",
        "killed by the kernel",
    ],
)
def test_where_an_oom_says_something_of_the_next_block(values, alone, told):
    ooms = knowing(oom(of(64), values), alone=alone)
    found = [node for node in ("a", "b") if ooms.source(of(64, block=1), (node, ""))]
    assert found == list(told)


def test_a_full_accelerator_says_nothing_of_the_others_of_its_node():
    ooms = knowing(oom(of(64), FULL), seat=("a", "0"))
    found = [gpu for gpu in ("0", "1") if ooms.source(of(64, block=1), ("a", gpu))]
    assert found == ["0"]


def test_an_oom_whose_node_will_run_no_others_says_nothing_without_a_limit():
    ooms = Ooms()
    for values in (NODE, FULL):
        ooms.learn(oom(of(64), values), alone=True)
        assert ooms.source(of(64, block=1)) is None


def test_nothing_is_said_against_what_has_fitted():
    ooms = knowing(oom(of(64)), done(of(128, block=2)))
    assert ooms.source(of(128, block=1), A) is None
    assert ooms.source(of(129, block=1), A) is not None


def test_what_was_implied_implies_nothing():
    source = oom(of(64))
    made = implied.record(of(128, block=3), source)
    assert knowing(made).source(of(128, block=4), A) is None


def test_the_record_says_what_it_follows_from_and_that_it_took_no_time():
    source = replace(oom(of(4096, block=2)), node="node-1")
    made = implied.record(of(8192, block=5), source)
    assert made.reason == (
        f"implied: block 2 of the same series ran out of memory at T = 4,096 (trial "
        f"{source.trial.id}): asked for 1.0 MiB, 1.0 KiB were free"
    )
    assert (made.status, made.node, made.attempts) == ("oom", "node-1", 0)
    assert made.values == {implied.IMPLIED_BY: source.trial.id}
    assert made.ended == made.started == 0.0


class Desk(Cluster):
    """Nodes of this process, where what is no shorter than `full` is at once out of memory."""

    def __init__(self, names, full, values, gpus):
        self._names, self._full, self._values, self._gpus = names, full, values, gpus
        self._answers = {}

    def offers(self):
        kind = {"gpus": float(len(self._gpus)), "accelerator": "cuda" if self._gpus else ""}
        return [Offer(name, name, cpus=1.0, slots=1, **kind) for name in self._names]

    def start(self, offer, setup, path):
        return offer.key

    def hello(self, agent):
        told = {"cores": [0], "gpus": self._gpus, "near": [], "kind": ""}
        return self._put({**told, "fault": "", "passing": False})

    def run(self, agent, request, exclusive):
        one = Trial.from_json(request["payload"])
        record = oom(one, self._values) if one.sequence_length >= self._full else done(one)
        return self._put(Report(key=request["key"], result=record.to_json()).to_json())

    def answers(self, calls, seconds):
        return [(each, self._answers.pop(each)) for each in list(calls)]

    def kill(self, agent):
        raise AssertionError("no agent is at fault")

    def dismiss(self, agents, seconds):
        assert self._answers == {}

    def _put(self, answer):
        self._answers[reference := object()] = answer
        return reference


def swept(trials, names=("a",), full=64, values=OWN, gpus=()):
    """Return what a fleet tells of every trial, and the record that this makes."""
    told = []
    works = [Work.of(number, each, 0) for number, each in enumerate(trials)]
    setup = Setup(Settings(), "", "", len(works))
    fleet = Fleet(Desk(names, full, values, gpus), Schedule(works), setup, told.append)
    fleet.enlist(None)
    fleet.run(threading.Event())
    fleet.dismiss()
    ends = {each["index"]: each["event"] for each in told if each["event"] != "started"}
    begun = {each["index"] for each in told if each["event"] == "started"}
    assert begun == {index for index, end in ends.items() if end == "report"}
    assert set(ends) == set(range(len(trials)))
    return [ends[index] for index in range(len(trials))], told


def test_a_fleet_runs_no_block_of_what_its_own_limit_does_not_hold():
    trials = [of(length, block) for block in range(4) for length in (128, 32)]
    ends, told = swept(trials)
    assert ends == ["report", "report", *("implied", "report") * 3]
    source = Record.from_json(next(each["source"] for each in told if each["event"] == "implied"))
    assert (source.trial, source.status, source.node) == (trials[0], "oom", "a")


def test_a_fleet_runs_what_shared_a_node_without_a_limit_and_times_it_only_where_it_ran():
    packed = [of(block=block, limits=Limits()) for block in range(3)]
    assert swept(packed, values=NODE)[0] == ["report"] * 3
    timed = [of(block=block, limits=Limits(), measurement="speed") for block in range(4)]
    assert swept(timed, values=NODE)[0] == ["report", *["implied"] * 3]
    assert swept(timed, ("a", "b"), values=NODE)[0].count("report") == 2  # one a node


def test_a_fleet_takes_no_trial_for_alone_beside_which_other_accelerators_may_be_timed():
    timing = {"limits": Limits(), "measurement": "speed", "device": "cuda"}
    timed = [of(block=block, **timing) for block in range(4)]
    assert swept(timed, values=NODE, gpus=["0"])[0] == ["report"] * 4
    assert swept(timed, values=FULL, gpus=["0"])[0].count("report") == 1


def test_ray_makes_the_record_of_what_a_fleet_says_is_implied():
    source = replace(oom(of(64)), node="a")
    event = {"event": "implied", "index": 0, "source": source.to_json()}
    assert ray._record(of(128), event) == implied.record(of(128), source)
