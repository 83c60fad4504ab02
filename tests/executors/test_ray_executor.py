"""Whole sweeps on a real local Ray: one with trials that fail, one whose processes are killed."""

import contextlib
import os
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import psutil
import pytest
from trials import trial

from harness.executors import ray
from harness.executors.settings import NoSuchCluster, Settings
from harness.trial import Limits

pytestmark = pytest.mark.ray

SETTINGS = Settings(target="faults:as_told", slots=2)
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Sweep:
    """What a sweep gave, and what was seen while it ran."""

    trials: list
    began: list  # trials, in order
    records: list
    listening: set  # addresses that its processes listened at
    niceness: set  # of those processes
    printed: str
    left: list  # processes that were there after it

    def record(self, name):
        return next(each for each in self.records if each.trial.cell.use == name)


def descendants():
    return psutil.Process().children(recursive=True)


def alive(processes):
    return [each for each in processes if each.is_running() and each.status() != "zombie"]


def find(word):
    """Return our descendant whose command line or name holds `word`, once there is one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for process in descendants():
            with contextlib.suppress(psutil.NoSuchProcess):  # a zombie too
                if word in " ".join(process.cmdline()):
                    return process
        time.sleep(0.05)
    raise AssertionError(f"no process {word!r}")


def sleeps(measurement, count, block):
    return [
        trial("sleep", measurement=measurement, sequence_length=60, hidden_size=size, block=block)
        for size in range(count)
    ]


@pytest.fixture(scope="module")
def sweep():
    """Run trials of every fate, in two blocks, and watch the processes."""
    fates = [
        trial("segfault"),
        trial("exit_at_once"),
        trial("raise_error"),
        trial("hang_in_c", limits=Limits(seconds=1.0)),
        trial("noise"),
        trial("trivial", device="cuda"),
        trial("trivial", threads=CORES + 1, hidden_size=2),
        trial("describe_done", hidden_size=3, threads=2 if CORES > 1 else 1),
    ]
    timed = [*sleeps("speed", 4, block=0), *sleeps("speed", 4, block=1)]
    packed = [*sleeps("memory", 6, block=0), *sleeps("training", 6, block=1)]
    trials = [*packed, *fates, *timed]
    return watch(trials)


def watch(trials):
    began, records, listening, niceness, seen = [], [], set(), set(), set()
    for record in ray.run(trials, SETTINGS, lambda each, _: began.append(each)):
        if not records:
            for process in descendants():
                seen.add(process)
                niceness.add(process.nice())
                listening |= {
                    each.laddr.ip.removeprefix("::ffff:")  # IPv4 by way of an IPv6 socket
                    for each in process.net_connections("inet")
                    if each.status == psutil.CONN_LISTEN
                }
        records.append(record)
    return Sweep(trials, began, records, listening, niceness, "", alive(seen))


def test_every_trial_has_exactly_one_record(sweep):
    got = Counter(record.trial.id for record in sweep.records)
    assert got == Counter(each.id for each in sweep.trials)


def test_every_end_is_a_status(sweep):
    got = {name: sweep.record(name).status for name in ("segfault", "hang_in_c", "raise_error")}
    assert got == {"segfault": "crashed", "hang_in_c": "timeout", "raise_error": "failed"}
    assert sweep.record("exit_at_once").reason.startswith("ended itself with exit code 3")
    assert "SIGSEGV" in sweep.record("segfault").reason


def test_what_no_node_can_run_is_refused_in_words(sweep):
    reasons = {record.reason for record in sweep.records if record.trial.cell.use == "trivial"}
    assert reasons == {
        "device 'cuda': no node of the cluster has one",
        f"asks for {CORES + 1} threads; the largest node gives {CORES} cores",
    }


def test_a_timed_trial_never_overlaps_another(sweep):
    spans = [(record.started, record.ended, record.trial) for record in sweep.records]
    overlaps = [
        (one, other)
        for started, ended, one in spans
        for other_started, other_ended, other in spans
        if one.measurement == "speed" and one is not other
        if started < other_ended and other_started < ended
    ]
    assert overlaps == []


@pytest.mark.skipif(CORES < 2, reason="one core packs nothing")
def test_the_others_run_side_by_side(sweep):
    spans = sorted(
        (record.started, record.ended)
        for record in sweep.records
        if record.trial.cell.use == "sleep" and record.trial.measurement != "speed"
    )
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans))


def test_neither_kind_waits_for_the_end_of_the_other(sweep):
    kinds = [each.measurement == "speed" for each in sweep.began]
    assert kinds[0] is False  # while Ray still starts, nothing is timed
    assert kinds.index(True) < len(kinds) - 1 - kinds[::-1].index(False)


def test_every_trial_that_ran_was_told_of_as_it_began(sweep):
    ran = Counter(record.trial.id for record in sweep.records if record.started)
    assert Counter(each.id for each in sweep.began) == ran


def test_every_trial_had_a_process_of_its_own(sweep):
    pids = [record.values["pid"] for record in sweep.records if "pid" in record.values]
    assert len(pids) == len(set(pids)) == 20


def test_a_trial_has_the_cores_threads_and_priority_it_should(sweep):
    values = sweep.record("describe_done").values
    assert len(values["affinity"]) == min(2, CORES)
    assert values["omp"] == str(min(2, CORES))
    assert values["cuda"] == ""
    assert values["niceness"] == 0


def test_everything_listens_on_this_machine_only(sweep):
    assert sweep.listening == {"127.0.0.1"}


def test_nothing_is_nicer_than_usual(sweep):
    assert sweep.niceness == {os.nice(0)}


def test_no_process_is_left(sweep):
    assert sweep.left == []


def test_kills_cost_no_record_and_closing_ends_everything(capfd):
    """Kill the agent, the fork server and the driver in turn; then close with trials to go.

    What was lost twice waits until it can run alone, and what hangs goes before it.
    """
    work = [trial("sleep", sequence_length=800, hidden_size=size) for size in range(8)]
    soon = Limits(seconds=2.0)
    endless = [trial("hang_in_c", hidden_size=size, block=1, limits=soon) for size in range(20)]
    records, seen = [], set()
    settings = replace(SETTINGS, expected={each.id: 30.0 for each in work})  # they go first
    with contextlib.closing(ray.run([*work, *endless], settings)) as generator:
        for victim in ("ray::Agent", "harness.executors.forkserver", "harness.executors.driver"):
            records.append(next(generator))
            seen |= set(descendants())
            find(victim).kill()
        while sum(record.status == "done" for record in records) < len(work):
            records.append(next(generator))
        seen |= set(descendants())
    deadline = time.monotonic() + 5
    while alive(seen) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(seen) == []
    done = [record for record in records if record.status == "done"]
    assert Counter(record.trial.id for record in done) == Counter(each.id for each in work)
    assert len(records) < len(work) + len(endless)
    assert {record.status for record in records} <= {"done", "timeout"}
    assert max(record.attempts for record in done) > 1
    assert capfd.readouterr() == ("", "")


def test_an_address_where_nothing_answers_is_refused_in_a_sentence():
    with pytest.raises(NoSuchCluster, match=r"no Ray cluster answers at '127.0.0.1:1'"):
        next(ray.run([trial()], Settings(address="127.0.0.1:1", target="faults:as_told")))


def test_this_machine_has_a_processor():
    assert ray.look(SETTINGS).devices[0] == "cpu"


def test_no_trial_needs_no_ray():
    assert list(ray.run([], SETTINGS)) == []
