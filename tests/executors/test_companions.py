"""A trial that brings its fork server down does not take those that ran beside it with it."""

import threading

from trials import trial

from harness.executors.cluster import Cluster, Offer
from harness.executors.fleet import Fleet
from harness.executors.protocol import Report
from harness.executors.schedule import Schedule
from harness.executors.settings import Settings, Setup
from harness.executors.work import Work

KILLER = 1  # hidden_size of the trial that brings the fork server down


class Falling(Cluster):
    """A node whose fork server falls with all that it runs whenever the killer is among it."""

    def __init__(self):
        self._next, self._hello, self._running, self.fallen = 0, None, {}, False

    def offers(self):
        return [Offer("only", "only", 2.0, 0.0, 2)]

    def start(self, offer, setup, path):
        return offer.key

    def hello(self, agent):
        self._hello = self._reference()
        return self._hello

    def run(self, agent, request, exclusive):
        assert not self.fallen, "no other fork server was asked for"
        reference = self._reference()
        self._running[reference] = (request["key"], request["payload"]["hidden_size"])
        return reference

    def answers(self, references, seconds):
        if self._hello in references:
            self.fallen = False
            told = {"fault": "", "passing": False, "cores": (0, 1), "kind": "any"}
            told |= {"gpus": (), "near": ()}
            return [(self._hello, told)]
        falls = any(size == KILLER for _, size in self._running.values())
        given, self._running = self._running, {}
        lost = "the fork server ended" if falls else ""
        self.fallen = falls
        return [(one, Report(key=key, lost=lost).to_json()) for one, (key, _) in given.items()]

    def _reference(self):
        self._next += 1
        return self._next


def test_who_was_lost_beside_another_runs_alone_and_ends_well():
    told = []
    works = [Work.of(n, trial(hidden_size=n + 1), 0) for n in range(4)]
    setup = Setup(Settings(), folder="", temporary="", works=len(works))
    fleet = Fleet(Falling(), Schedule(works), setup, told.append)
    fleet.enlist(None)
    fleet.run(threading.Event())
    ends = {each["index"]: each["event"] for each in told if each["event"] != "started"}
    assert ends == {0: "lost", 1: "report", 2: "report", 3: "report"}
