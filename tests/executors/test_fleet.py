"""Sweeps over nodes that are agents of this process, without Ray; some of them have a full disk."""

import os
import random
import signal
import threading
from collections import Counter
from concurrent import futures

import pytest
from injector import MARK, Injector, folder_of
from trials import trial

from harness.executors.agent import Agent
from harness.executors.cluster import Cluster, Offer
from harness.executors.fleet import Fleet
from harness.executors.schedule import Schedule
from harness.executors.settings import ExecutorError, Settings, Setup
from harness.executors.work import Work

TRIALS = 12


class Desk(Cluster):
    """A cluster in one process: a node is a folder, and where one is full no server starts again.

    What a full node has at first is a fork server that is dead.
    """

    def __init__(self, injector, names, full):
        self._injector = injector
        self._names = names
        self._full = full
        self._threads = futures.ThreadPoolExecutor(len(names))

    def offers(self):
        return [Offer(name, name, cpus=1.0, gpus=0.0, slots=1) for name in self._names]

    def start(self, offer, setup, path):
        folder = self._injector.folder / offer.key
        folder.mkdir()
        agent = Agent(setup.settings.module, setup.folder, str(folder), path)
        agent.hello()
        if offer.key in self._full:
            for server in self._injector.find("fork server"):
                if folder_of(server).startswith(f"{folder}/"):
                    os.kill(server, signal.SIGKILL)
            folder.rename(folder.with_name(f"{offer.key} gone"))
        return agent

    def hello(self, agent):
        return self._threads.submit(agent.hello)

    def run(self, agent, request, exclusive):
        return self._threads.submit(agent.run, request, exclusive)

    def answers(self, calls, seconds):
        done, _ = futures.wait(calls, seconds, futures.FIRST_COMPLETED)
        return [(each, each.result()) for each in done]

    def kill(self, agent):
        agent.close()

    def dismiss(self, agents, seconds):
        for agent in agents:
            agent.close()
        self._threads.shutdown()


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Return a function that sweeps over nodes, some of them full, and puts down what is told."""
    monkeypatch.setenv(MARK, str(tmp_path))
    injector = Injector(random.Random(0), str(tmp_path), tmp_path)

    def run(names, full, told):
        works = [Work.of(n, trial("trivial", hidden_size=n), 0) for n in range(TRIALS)]
        setup = Setup(Settings(target="faults:as_told"), str(tmp_path), str(tmp_path), TRIALS)
        fleet = Fleet(Desk(injector, names, full), Schedule(works), setup, told.append)
        try:
            fleet.enlist(None)
            fleet.run(threading.Event())
        finally:
            fleet.dismiss()

    yield run
    assert injector.persist(injector.marked) == []


def test_a_node_that_starts_no_fork_server_any_more_leaves_its_trials_to_others(sweep):
    told = []
    sweep(["full", "sound"], ["full"], told)
    begun = [each for each in told if each["event"] == "started"]
    ended = [each for each in told if each["event"] != "started"]
    assert any(each["node"] == "full" for each in begun)
    assert Counter(each["index"] for each in ended) == Counter(range(TRIALS))
    assert {(each["event"], each["node"]) for each in ended} == {("report", "sound")}
    assert max(each["attempts"] for each in ended) <= 2  # of the dead server's first trial


def test_where_no_node_starts_one_no_trial_is_said_to_be_lost(sweep):
    told = []
    with pytest.raises(ExecutorError) as raised:
        sweep(["full"], ["full"], told)
    assert type(raised.value) is ExecutorError  # another Ray on the same disk would not help
    assert "no node is left to run trials on: full: the fork server could not be" in str(
        raised.value
    )
    assert {each["event"] for each in told} == {"started"}
