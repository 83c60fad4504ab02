"""A node is lost with all that it ran, and no other can run it: told without Ray or processes."""

import threading

from trials import trial

from harness.executors.cluster import Cluster, Lost, Offer
from harness.executors.fleet import Fleet
from harness.executors.schedule import Schedule
from harness.executors.settings import Settings, Setup
from harness.executors.work import Work

PATIENCE = 20  # answers; one a call are needed


class OneFalls(Cluster):
    """A cluster of two nodes; the one with accelerators falls once it has trials."""

    def __init__(self):
        self._offers = [Offer("plain", "plain", 2.0, 0.0, 2), Offer("fast", "fast", 2.0, 2.0, 2)]
        self._answers = []
        self._waits = iter(range(PATIENCE))

    def offers(self):
        return list(self._offers)

    def start(self, offer, setup, path):
        return offer.key

    def hello(self, agent):
        gpus = ("0", "1") if agent == "fast" else ()
        told = {"fault": "", "passing": False, "cores": (0, 1), "kind": "any"}
        told |= {"gpus": gpus, "near": ()}
        return self._will_answer(told)

    def run(self, agent, request, exclusive):
        self._offers = [offer for offer in self._offers if offer.key != agent]
        return self._will_answer(Lost("its node is gone"))

    def answers(self, references, seconds):
        next(self._waits)  # a fleet that waits for nothing comes to an end here
        return [(reference, self._answers[reference]) for reference in references[:1]]

    def kill(self, agent):
        pass

    def _will_answer(self, answer):
        self._answers.append(answer)
        return len(self._answers) - 1


def test_what_a_lost_node_ran_is_refused_where_no_other_can_run_it():
    told = []
    works = [Work.of(n, trial(device="cuda", hidden_size=n + 1), 0) for n in range(2)]
    setup = Setup(Settings(), folder="", temporary="", works=len(works))
    fleet = Fleet(OneFalls(), Schedule(works), setup, told.append)
    fleet.enlist(None)
    fleet.run(threading.Event())
    refused = {each["index"]: each["reason"] for each in told if each["event"] == "refused"}
    assert refused.keys() == {0, 1}
    assert all("no node of the cluster has one, now that" in each for each in refused.values())
