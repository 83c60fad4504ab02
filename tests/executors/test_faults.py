"""One sweep on a local Ray, whose every kind of process is killed while it runs."""

import random
import tempfile
import time
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from injector import MARK, Injector, soon
from trials import trial

from harness.executors import ray
from harness.executors.settings import Settings
from harness.trial import Choice, Limits

pytestmark = pytest.mark.ray

SEED = 20240608
MEBIBYTE = 2**20
KINDS = {"trial": 8, "fork server": 4, "agent": 3, "driver": 1, "raylet": 1, "head": 1}
BETWEEN = 4  # records from one fault to the next
NOTICE_SECONDS = 60.0  # until another is in its place, a start of Ray on a busy machine included
TRIALS = 600  # 36 s of this machine, of whose faults most leave it nothing to run

FATES = {  # what a trial does -> its status, and a part of its reason
    "segfault": ("crashed", "was killed by SIGSEGV (signal 11)"),
    "exit_at_once": ("crashed", "ended itself with exit code 3"),
    "raise_error": ("failed", "ValueError: no such luck"),
    "hang_in_c": ("timeout", "ran longer than its limit of 0.5 s"),
    "allocate": ("oom", "asked for more memory than its limit of 50 MiB: MemoryError"),
    "print_and_fall": ("crashed", "the last line"),
    "linger": ("done", ""),
}
KILLED = ("crashed", "was killed by SIGKILL (signal 9)")


def trials(hurry):
    """Return a long sweep of short trials, some of which fail by themselves."""
    walls = {"hang_in_c": Limits(seconds=0.5), "allocate": Limits(30.0, 50 * MEBIBYTE)}
    faulty = [
        trial(
            cell=Choice(name, {"bytes": 100_000_000}),
            hidden_size=number,
            block=number,
            limits=walls.get(name, Limits(seconds=30.0)),
        )
        for name in FATES
        if name != "linger"
        for number in range(3)
    ]
    patient = Choice("linger", {"hurry": str(hurry), "seconds": 0.12})
    lingering = [trial(cell=patient, hidden_size=n, block=n % 30) for n in range(TRIALS)]
    return [*lingering, *faulty]


@pytest.fixture
def folder():
    """Return a folder whose name is short, as that of a socket in it must be."""
    with tempfile.TemporaryDirectory(prefix="bf-", dir=ray.TEMPORARY) as name:
        yield Path(name)


@pytest.fixture
def injector(folder, monkeypatch):
    monkeypatch.setenv(MARK, str(folder))
    monkeypatch.setattr(ray, "TEMPORARY", str(folder))
    return Injector(random.Random(SEED), str(folder), folder)


def test_a_sweep_outlives_every_process_of_its_own(injector, folder):
    outlive(injector, folder)


def outlive(injector, folder):
    """Run the sweep, kill as planned, check after each kill; return how long each was missing."""
    hurry = folder / "hurry"
    work, began, records, replaced = trials(hurry), Counter(), [], []
    plan = list(chain.from_iterable([kind] * times for kind, times in KINDS.items()))
    injector.generator.shuffle(plan)
    due, fault = BETWEEN, None
    sweep = ray.run(
        work, Settings(target="faults:as_told", slots=2), lambda one, _: began.update([one.id])
    )
    for record in sweep:
        records.append(record)
        if fault is None and plan and len(records) >= due:
            time.sleep(injector.generator.random() * 0.1)  # a random moment of what runs
            kind = plan.pop()
            fault = (kind, soon(lambda: injector.kill(kind)), time.monotonic())  # noqa: B023
        elif fault is not None:
            kind, victim, moment = fault
            if kind == "trial" or set(injector.find(kind)) - {victim}:
                assert (injector.orphans(), injector.stale_folders()) == ([], []), kind
                replaced.append((kind, time.monotonic() - moment))
                fault, due = None, len(records) + BETWEEN
            assert time.monotonic() - moment < NOTICE_SECONDS, kind
        if fault is None and not plan:
            hurry.touch()
    assert injector.injected == KINDS
    assert Counter(r.trial.id for r in records) == Counter(one.id for one in work)
    assert all(ends_as_it_should(record) for record in records)
    ends = Counter((record.status, record.reason.partition(";")[0]) for record in records)
    assert 0 < ends[KILLED] <= KINDS["trial"]
    assert {r.trial.id: r.attempts for r in records} == began
    assert 1 < max(began.values()) <= 4
    assert injector.persist(injector.marked) == []
    assert list(folder.glob("bptt-*")) == []
    return replaced


def ends_as_it_should(record):
    """Return whether a record's reason is a true one, and it tells what was in force.

    A trial that is killed in its first milliseconds has told nothing yet.
    """
    status, reason = FATES[record.trial.cell.use]
    killed = (record.status, record.reason.partition(";")[0]) == KILLED
    if killed and not record.environment:
        return True
    true = killed or (record.status == status and reason in record.reason)
    return true and record.environment["seconds_limit"] == record.trial.limits.seconds
