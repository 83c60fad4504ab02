"""Hundreds of faults under one agent, without Ray: after each of them all is as it was before."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cgroup import small_memory
from injector import MARK, PATIENCE_SECONDS, Injector, soon
from trials import trial

from harness.executors import agent, client, outcome
from harness.executors.agent import Agent
from harness.executors.landing import SERVER_MARK
from harness.executors.protocol import Report, Request, variables
from harness.trial import Choice, Limits

MEBIBYTE = 2**20
SEED = 20240607
LONG, SHORT = Limits(seconds=30.0), Limits(seconds=0.2)
ON_A_SERVER = {"kill": (signal.SIGKILL, 20), "stop": (signal.SIGSTOP, 3)}
KILLED_TRIALS = 40
SMALL_MEMORY = 200 * MEBIBYTE


@dataclass(frozen=True)
class Fate:
    """A trial that ends as it does by its own fault, and the record that it should be."""

    status: str
    reason: str
    params: Mapping[str, object] = field(default_factory=dict)
    limits: Limits = LONG
    times: int = 16


FATES = {
    "segfault": Fate("crashed", "was killed by SIGSEGV (signal 11)"),
    "kill_itself": Fate("crashed", "was killed by SIGKILL (signal 9)"),
    "exit_at_once": Fate("crashed", "ended itself with exit code 3"),
    "scribble": Fate("crashed", "ended itself with exit code 0 and no result"),
    "raise_error": Fate("failed", "ValueError: no such luck"),
    "leave": Fate("failed", "SystemExit: 3"),
    "hang_in_c": Fate("timeout", "ran longer than its limit of 0.2 s", limits=SHORT, times=10),
    "stop_itself": Fate("timeout", "ran longer than its limit of 0.2 s", limits=SHORT, times=10),
    "allocate": Fate(
        "oom",
        "asked for more memory than its limit of 50 MiB: MemoryError",
        {"bytes": 100 * MEBIBYTE},
        Limits(seconds=30.0, memory_bytes=50 * MEBIBYTE),
    ),
    "start_company": Fate("done", "", {"apart": True, "stay": False}),
    "print_much": Fate("done", "", {"bytes": 100_000_000}, times=4),
    "print_and_fall": Fate("crashed", "the last line", {"bytes": 100_000_000}, times=2),
}


class Company(threading.Thread):
    """Innocent trials, one after another beside the faulty ones."""

    def __init__(self, agent, number):
        super().__init__(daemon=True)
        self.records = []
        self.lost_at = []  # when a loss was noticed
        self._agent = agent
        self._number = number
        self._over = threading.Event()

    def run(self):
        while not self._over.is_set():
            one = trial(
                "sleep",
                sequence_length=20,
                hidden_size=len(self.records),
                seed=self._number,
                limits=Limits(seconds=1.0),
            )
            self.records.append(carry_out(self._agent, one, self.lost_at))

    def leave(self):
        self._over.set()
        self.join(PATIENCE_SECONDS)


def request(one, attempt=1):
    """Return the request of a trial, as a fleet makes it."""
    return Request(
        key=f"{one.id}.{attempt}",
        target="faults:as_told",
        payload=one.to_json(),
        seconds=one.limits.seconds,
        memory_bytes=one.limits.memory_bytes,
        variables=variables(1, ""),
    ).to_json()


def carry_out(agent, one, lost_at):
    """Return the record of a trial, handed out again after a loss, as a fleet does it."""
    for attempt in range(1, outcome.MAX_LOSSES + 2):
        report = Report(**agent.run(request(one, attempt), exclusive=False))
        if not report.lost:
            return outcome.record(one, report, "node", attempt)
        lost_at.append(time.monotonic())
        agent.hello()
    return outcome.loss(one, report.lost, "node", attempt)


@pytest.fixture
def injector(tmp_path, monkeypatch):
    monkeypatch.setenv(MARK, str(tmp_path))
    return Injector(random.Random(SEED), str(tmp_path), tmp_path)


@pytest.fixture
def company(shop):
    members = [Company(shop, number) for number in range(2)]
    for each in members:
        each.start()
    yield members
    for each in members:
        each.leave()


@pytest.fixture
def shop(tmp_path, injector):
    agent = Agent("faults", str(tmp_path), str(tmp_path), None)
    assert agent.hello()["fault"] == ""
    yield agent
    agent.close()


def test_two_hundred_faults_cost_no_record_and_leave_nothing(
    tmp_path, injector, shop, company, monkeypatch
):
    monkeypatch.setattr(agent, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(client, "READY_SECONDS", 3.0)
    plan = [name for name, fate in FATES.items() for _ in range(fate.times)]
    plan += [name for name, (_, times) in ON_A_SERVER.items() for _ in range(times)]
    plan += ["kill a trial"] * KILLED_TRIALS
    injector.generator.shuffle(plan)
    noticed = []
    for number, name in enumerate(plan):
        threading.Event().wait(injector.generator.random() * 0.03)  # a random moment of the others
        if name in FATES:
            inflict(shop, name, tmp_path / str(number))
            injector.injected[name] += 1
        elif name == "kill a trial":
            soon(lambda: injector.kill("trial"))
        else:
            noticed.append(strike(injector, company, ON_A_SERVER[name][0]))
            assert shop.hello()["fault"] == ""
        assert injector.orphans() == []
        assert injector.stale_folders() == []
    for each in company:
        each.leave()
    assert injector.injected.total() >= 200
    records = [record for each in company for record in each.records]
    ends = Counter((record.status, record.reason.partition(";")[0]) for record in records)
    killed = ends.pop(("crashed", "was killed by SIGKILL (signal 9)"))
    assert 0 < killed <= KILLED_TRIALS  # one that was over at that moment is done
    assert list(ends) == [("done", "")]
    assert max(record.attempts for record in records) > 1
    shop.close()
    assert injector.persist(injector.marked) == []
    assert max(noticed) < 1.0 + 0.5 + 0.5 + 3.0 + PATIENCE_SECONDS / 3  # limit, grace, end, start


@pytest.fixture
def group():
    """Return a control group with little memory."""
    with small_memory(f"bptt-{os.getpid()}", SMALL_MEMORY) as made:
        if made is None:
            pytest.skip("this machine lets no test make a control group with a limit")
        yield made


@pytest.fixture
def cramped(group, injector, shop):
    """Return the fork server's id, once it has little memory and before it runs a trial."""
    (server,) = injector.find("fork server")
    (group / "cgroup.procs").write_text(str(server))
    return server


def test_a_trial_that_uses_up_the_nodes_memory_ends_alone(
    tmp_path, injector, cramped, shop, company
):
    waiting = {"file": str(tmp_path / "waiting")}
    with ThreadPoolExecutor(1) as threads:
        killed = threads.submit(carry_out, shop, trial(cell=Choice("wait", waiting)), [])
        pid = int(soon(lambda: read_if_there(waiting["file"])))
        greedy = {"file": str(tmp_path / "greedy"), "bytes": 4 * SMALL_MEMORY}
        starved = carry_out(shop, trial(cell=Choice("fill", greedy)), [])
        os.kill(pid, signal.SIGKILL)
        killed = killed.result()
    for each in company:
        each.leave()
    assert injector.find("fork server") == [cramped]
    assert (starved.status, starved.attempts) == ("oom", 1)
    assert starved.reason.startswith(
        "was killed while the kernel was out of memory; its own peaked"
    )
    assert killed.status == "crashed"  # the kernel's kill was another's
    assert killed.reason.startswith("was killed by SIGKILL (signal 9)")
    assert {(r.status, r.attempts) for each in company for r in each.records} == {("done", 1)}


def test_a_trial_killed_while_another_program_uses_up_its_memory_is_not_said_to(
    tmp_path, injector, group, shop
):
    waiting = {"file": str(tmp_path / "waiting")}
    with ThreadPoolExecutor(1) as threads:
        killed = threads.submit(carry_out, shop, trial(cell=Choice("wait", waiting)), [])
        pid = int(soon(lambda: read_if_there(waiting["file"])))
        greedy = f"echo $$ >{group}/cgroup.procs; exec tail /dev/zero"
        assert subprocess.run(["sh", "-c", greedy], check=False).returncode == -signal.SIGKILL
        os.kill(pid, signal.SIGKILL)
        assert killed.result().status == "crashed"


def test_an_agent_without_a_fork_server_says_so_at_once_and_starts_one_when_greeted(injector, shop):
    lost_at = []
    injector.kill("fork server")
    first, then = (shop.run(request(trial()), exclusive=False) for _ in range(2))
    assert first["lost"]
    assert then["lost"] == "the fork server had just ended"
    assert injector.find("fork server") == []
    assert carry_out(shop, trial(), lost_at).status == "done"
    assert len(lost_at) == 1


def test_what_a_trial_started_ends_with_a_fork_server_that_was_given(tmp_path, injector):
    launch = client.Launch("faults", None, str(tmp_path))
    agent = Agent("faults", str(tmp_path), str(tmp_path), launch.path)
    agent.hello()
    company = Choice("start_company", {"apart": True, "stay": True, "file": f"{tmp_path}/pids"})
    with ThreadPoolExecutor(1) as threads:
        lost = threads.submit(agent.run, request(trial(cell=company)), False)
        soon(lambda: read_if_there(tmp_path / "pids"))
        injector.kill("fork server")
        assert lost.result()["lost"]
    assert injector.orphans(0.0) == []
    assert injector.persist(injector.marked) == []
    launch.close()


def test_what_is_left_behind_would_be_found(injector, tmp_path):
    launch = client.Launch("faults", None, str(tmp_path))
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, SERVER_MARK: str(tmp_path)})
    try:
        assert injector.orphans(0.0) == [process.pid]
        launch.process.kill()
        launch.process.wait()
        assert len(injector.stale_folders(0.0)) == 1
    finally:
        process.kill()
        process.wait()
        launch.close()


def inflict(agent, name, file):
    """Have one trial fail, and find its record true and complete."""
    fate = FATES[name]
    choice = Choice(name, {**fate.params, "file": str(file)})
    made = carry_out(agent, trial(cell=choice, limits=fate.limits), [])
    assert (made.status, made.attempts) == (fate.status, 1), made
    assert fate.reason in made.reason
    assert made.environment["oom_score"] == 1000
    assert made.environment["seconds_limit"] == fate.limits.seconds


def read_if_there(file):
    return Path(file).read_text() if Path(file).exists() else ""


def strike(injector, company, number):
    """Signal the fork server and return how long it took to be missed."""
    before, began = sum(len(each.lost_at) for each in company), time.monotonic()
    soon(lambda: injector.kill("fork server", number))
    soon(lambda: sum(len(each.lost_at) for each in company) > before)
    return time.monotonic() - began
