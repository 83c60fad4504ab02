"""Makes the same calls on every node of a cluster, one after another on each, and tells all."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.executors.cluster import Cluster, Handle, Lost, Offer, Reference
from harness.executors.fleet import (
    ANSWER_SECONDS,
    DISMISS_SECONDS,
    POLL_SECONDS,
    START_SECONDS,
    Tell,
)
from harness.executors.protocol import Ask
from harness.executors.settings import Setup


@dataclass(slots=True)
class Visit:
    """A node, its agent, and which call it works on; -1: what it offers."""

    name: str
    agent: Handle
    deadline: float
    index: int = -1
    cores: Sequence[int] = ()
    gpus: Sequence[str] = ()


class Survey:
    """The calls to all agents; a node that does not answer holds up no other."""

    def __init__(self, cluster: Cluster, setup: Setup, tell: Tell) -> None:
        self._cluster = cluster
        self._setup = setup
        self._asks = [Ask(**ask) for ask in setup.asks]
        self._tell = tell
        self._visits: dict[Reference, Visit] = {}

    def run(self, stop: threading.Event) -> None:
        """Return once every node has answered everything, or cannot, or the wish to stop came."""
        agents = [self._begin(offer) for offer in self._cluster.offers()]
        try:
            while self._visits and not stop.is_set():
                for reference, answer in self._cluster.answers(list(self._visits), POLL_SECONDS):
                    self._take_in(self._visits.pop(reference), answer)
                self._give_up_overdue()
        finally:
            self._cluster.dismiss(agents, DISMISS_SECONDS)

    def _begin(self, offer: Offer) -> Handle:
        agent = self._cluster.start(offer, self._setup, None)
        visit = Visit(offer.name, agent, time.monotonic() + START_SECONDS)
        self._visits[self._cluster.hello(agent)] = visit
        return agent

    def _take_in(self, visit: Visit, answer: Mapping[str, Any] | Lost) -> None:
        if isinstance(answer, Lost):
            self._lose(visit, answer.why)
        elif visit.index >= 0 and answer["lost"]:
            self._lose(visit, answer["lost"])
        elif visit.index >= 0:
            where = {"node": visit.name, "index": visit.index}
            self._tell({"event": "answer", **where, "report": answer})
            self._ask_next(visit)
        elif answer["fault"]:
            self._lose(visit, answer["fault"])
        else:
            visit.cores, visit.gpus = answer["cores"], answer["gpus"]
            self._ask_next(visit)

    def _ask_next(self, visit: Visit) -> None:
        visit.index += 1
        if visit.index == len(self._asks):
            return
        request = self._asks[visit.index].request(visit.cores, visit.gpus)
        visit.deadline = time.monotonic() + request.seconds + ANSWER_SECONDS
        reference = self._cluster.run(visit.agent, request.to_json(), exclusive=True)
        self._visits[reference] = visit

    def _give_up_overdue(self) -> None:
        for reference, visit in list(self._visits.items()):
            if time.monotonic() > visit.deadline:
                del self._visits[reference]
                self._cluster.kill(visit.agent)
                self._lose(visit, "it does not answer; something else may hold its cores")

    def _lose(self, visit: Visit, why: str) -> None:
        where = {"node": visit.name, "index": max(visit.index, 0)}
        self._tell({"event": "unanswered", **where, "why": why})
