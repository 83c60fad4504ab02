"""Hands trials to the agents of a cluster, and lives through the loss of any of them.

How long a fault goes unnoticed, at most:

    a trial killed or fallen         at once: its pidfd is watched
    a trial that hangs               its own limit
    a fork server killed             at once: its socket closes
    a fork server that hangs         the trial's limit + agent.GRACE_SECONDS
    one that never gets ready        client.READY_SECONDS
    a node that starts none at all   after MAX_FAULTS + 1 of these in a row
    an agent killed                  at once: Ray sees its connection close
    an agent that hangs              the trial's limit + ANSWER_SECONDS
    an agent that never starts       START_SECONDS
    an agent and its fork server     at once; what their trials started goes a second later
    a local raylet                   about 10 s seen: 5 checks, a second apart (ray.LOCAL)
    a local head                     5 s (ray.LOCAL), then its driver ends
    a node cut off without a word    the head's RAY_health_check_*: about 65 s as Ray has them
    the driver                       at once: its socket closes
    the command                      at once, and driver.STOP_SECONDS for an orderly end

"At once" is what a kernel takes to close a descriptor. What a fault then costs is a start: of a
fork server, an agent, or Ray.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.executors.agent import HELLO_SECONDS, RUN_SECONDS
from harness.executors.cluster import Cluster, Handle, Lost, Offer, Reference
from harness.executors.implied import Ooms
from harness.executors.node import Node
from harness.executors.outcome import MAX_LOSSES
from harness.executors.protocol import Request, variables
from harness.executors.schedule import Schedule
from harness.executors.settings import ExecutorError, NodesLost, Setup
from harness.executors.work import Place, Work
from harness.trial import Record, Trial

POLL_SECONDS = 0.5  # how soon a wish to stop is seen
WAY_SECONDS = 20.0  # for an agent's process to start, or an answer to arrive, on a busy node
START_SECONDS = HELLO_SECONDS + WAY_SECONDS  # until an agent offers something
ANSWER_SECONDS = RUN_SECONDS + WAY_SECONDS  # beyond its limit, until it tells of a trial
# Of a node in a row, each met with another start; a trial that brings down its agent is told of
# before its node is given up.
MAX_FAULTS = MAX_LOSSES + 1
DISMISS_SECONDS = 3.0  # for an agent to end; one that still starts does not answer

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class Member:
    """A node, its agent, and how often in a row that was lost or could start no fork server."""

    offer: Offer
    agent: Handle
    name: str
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A question that an agent has not answered yet: how it is, or what came of a trial."""

    member: Member
    agent: Handle  # that was asked; the member may have another by now
    deadline: float
    work: Work | None = None
    place: Place | None = None

    @property
    def current(self) -> bool:
        """Return whether the agent that was asked is still the node's."""
        return self.agent is self.member.agent


class Fleet:
    """The agents, the calls to them, and what their faults lead to."""

    def __init__(self, cluster: Cluster, schedule: Schedule, setup: Setup, tell: Tell) -> None:
        self._cluster = cluster
        self._schedule = schedule
        self._setup = setup
        self._settings = setup.settings
        self._tell = tell
        self._members: dict[str, Member] = {}
        self._calls: dict[Reference, Call] = {}
        self._ooms = Ooms()
        self._last_fault = ""  # for which a node was given up
        self._error: type[ExecutorError] = ExecutorError  # that it is, once no node is left

    def enlist(self, path: str | None) -> None:
        """Start an agent on every node; `path` leads to a fork server that is there already."""
        for offer in self._cluster.offers():
            slots = min(offer.slots, self._settings.slots or offer.slots)
            node = Node(slots=slots, gpus=int(offer.gpus), accelerator=offer.accelerator)
            self._schedule.nodes[offer.key] = node
            self._members[offer.key] = member = Member(offer, None, offer.name)
            self._start(member, path)

    def run(self, stop: threading.Event) -> None:
        """Return once every trial has been told of, or the wish to stop came.

        Raises:
            ExecutorError: no node is left to run what still waits.
            NodesLost: that is so because the last of them was lost.
        """
        self._refuse()
        while not stop.is_set():
            for node in self._schedule.nodes:
                while given := self._schedule.next(node):
                    if not self._is_implied(*given):
                        self._hand_out(*given)
            if self._schedule.empty and not any(call.work for call in self._calls.values()):
                return
            if not self._schedule.nodes:
                why = self._last_fault or "none of them has a processor to give"
                raise self._error(f"no node is left to run trials on: {why}")
            for reference, answer in self._cluster.answers(list(self._calls), POLL_SECONDS):
                self._take_in(self._calls.pop(reference), answer)
            self._end_overdue()

    def dismiss(self) -> None:
        """End every agent, and what it runs."""
        agents = [each.agent for each in self._members.values() if each.agent is not None]
        self._cluster.dismiss(agents, DISMISS_SECONDS)

    def _start(self, member: Member, path: str | None) -> None:
        member.agent = self._cluster.start(member.offer, self._setup, path)
        self._ask(member)

    def _ask(self, member: Member) -> None:
        """Ask what a node offers: its agent sees to it that it has a fork server."""
        call = Call(member, member.agent, time.monotonic() + START_SECONDS)
        self._calls[self._cluster.hello(member.agent)] = call

    def _is_implied(self, work: Work, place: Place) -> bool:
        """Tell of a trial that need not run there, as it would be out of memory like another."""
        if not self._ooms:
            return False
        source = self._ooms.source(Trial.from_json(work.payload), (place.node, place.gpu))
        if source is not None:
            self._schedule.release(place)
            self._tell({"event": "implied", "index": work.index, "source": source.to_json()})
        return source is not None

    def _learn_ooms(self, place: Place, member: Member, result: Mapping[str, Any] | None) -> None:
        if result is not None:
            found = replace(Record.from_json(result), node=member.name)
            alone = place.exclusive and not place.gpu  # other accelerators are timed beside it
            self._ooms.learn(found, (place.node, place.gpu), alone)

    def _hand_out(self, work: Work, place: Place) -> None:
        member = self._members[place.node]
        request = Request(
            key=f"{work.index}.{work.losses}",
            target=self._settings.target,
            payload=work.payload,
            seconds=work.seconds,
            memory_bytes=work.memory_bytes,
            cores=place.cores,
            variables=variables(work.threads, place.gpu),
        )
        reference = self._cluster.run(member.agent, request.to_json(), place.exclusive)
        deadline = time.monotonic() + work.seconds + ANSWER_SECONDS
        self._calls[reference] = Call(member, member.agent, deadline, work, place)
        self._tell({"event": "started", "index": work.index, "node": member.name})

    def _take_in(self, call: Call, answer: Mapping[str, Any] | Lost) -> None:
        if isinstance(answer, Lost):
            self._replace(call, answer.why)
            if call.work is not None:
                self._hand_back(call.work, call.member, answer.why)
        elif call.work is None or call.place is None:
            self._welcome(call, answer)
        else:
            if call.current:
                self._schedule.release(call.place)
            if answer["lost"]:
                self._hand_back(call.work, call.member, answer["lost"])
            else:
                call.member.faults = 0
                if (answer["result"] or {}).get("status") == "done":  # other ends say nothing
                    self._schedule.learn(call.work, answer["ended"] - answer["started"])
                self._learn_ooms(call.place, call.member, answer["result"])
                self._report("report", call.work, call.member, report=answer)
            if call.current:
                self._renew(call.member, bool(answer["lost"]))

    def _welcome(self, call: Call, hello: Mapping[str, Any]) -> None:
        """Let an agent that is ready have trials."""
        if not call.current:
            return
        member, node = call.member, self._schedule.nodes[call.member.offer.key]
        if hello["fault"]:
            member.faults += 1
            if hello["passing"] and member.faults <= MAX_FAULTS:
                self._ask(member)
            else:
                self._give_up(member, hello["fault"])
            return
        cores, count = hello["cores"][: node.slots], int(member.offer.gpus)
        gpus, near = hello["gpus"][:count], hello["near"][:count]
        self._schedule.open(member.offer.key, cores, gpus, hello["kind"], near)
        self._refuse()

    def _replace(self, call: Call, why: str) -> None:
        """Start another agent in place of one that was lost, unless that was done already."""
        if not call.current:
            return
        member = call.member
        self._cluster.kill(member.agent)  # out of reach, it may still run, beside the next one
        member.faults += 1
        alive = {offer.key for offer in self._cluster.offers()}
        if member.offer.key not in alive or member.faults > MAX_FAULTS:
            self._give_up(member, why)
            self._error = NodesLost
            return
        self._schedule.nodes[member.offer.key].open = False
        self._start(member, None)

    def _renew(self, member: Member, lost: bool) -> None:
        """Have an agent start another fork server, once all that the lost one ran is told of.

        It is done apart from any trial: within the time of one, an agent would seem to hang.
        """
        node = self._schedule.nodes[member.offer.key]
        node.open = node.open and not lost
        if not node.open and not any(call.agent is member.agent for call in self._calls.values()):
            self._ask(member)

    def _give_up(self, member: Member, why: str) -> None:
        """Do without a node."""
        self._error = ExecutorError
        self._last_fault = f"{member.name}: {why}"
        self._cluster.kill(member.agent)
        member.agent = None
        self._schedule.remove(member.offer.key)
        self._refuse()

    def _hand_back(self, work: Work, member: Member, why: str) -> None:
        """Let a trial that was lost without its own fault run again, a few times."""
        again = work.lost()
        if again.losses > MAX_LOSSES:
            self._report("lost", work, member, why=why)
        else:
            self._schedule.requeue(again)
            self._refuse()  # its node may be gone, and have been the only one for it

    def _end_overdue(self) -> None:
        """Kill the agents that do not answer; their calls then end as any dead agent's do."""
        overdue = [call for call in self._calls.values() if time.monotonic() > call.deadline]
        for call in overdue:
            if call.current and call.work is None:
                why = f"nothing answers there within {START_SECONDS:g} s; are its cores taken?"
                self._give_up(call.member, why)
            elif call.current:
                self._schedule.nodes[call.member.offer.key].open = False
                self._cluster.kill(call.agent)

    def _refuse(self) -> None:
        """Tell of the trials that no node could ever run, while there are nodes."""
        if not self._schedule.nodes:
            return
        given_up = f", now that one was given up ({self._last_fault})" if self._last_fault else ""
        for work, reason, advice in self._schedule.strand():
            words = {"reason": reason + given_up, "advice": advice}
            self._tell({"event": "refused", "index": work.index, **words})

    def _report(self, event: str, work: Work, member: Member, **more: Any) -> None:
        attempts = work.losses + 1
        where = {"index": work.index, "node": member.name, "attempts": attempts}
        self._tell({"event": event, **where, **more})
