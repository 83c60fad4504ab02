"""Says which trial a node runs next: timing trials alone, the others packed, never both at once.

Trials keep their order but for two things. The timing trials of a block come together and last:
rivals run close in time, a node changes between the two kinds once a block, and what Ray still
does as it starts meets trials that nothing is timed in. And they all go to one node, because times
of two machines cannot be compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.trial import Trial

TIMED = "speed"  # the measurement that needs a node to itself


@dataclass(frozen=True, slots=True)
class Work:
    """A trial as it is handed out: what a place must offer, and how often that went wrong."""

    index: int
    payload: Mapping[str, Any]  # the trial's JSON
    block: int
    device: str
    threads: int
    exclusive: bool
    seconds: float
    memory_bytes: int | None
    losses: int = 0  # faults of its node or agent so far

    @classmethod
    def of(cls, index: int, trial: Trial, losses: int) -> Work:
        """Return the work that a trial is."""
        return cls(
            index=index,
            payload=trial.to_json(),
            block=trial.block,
            device=trial.device,
            threads=trial.threads,
            exclusive=trial.measurement == TIMED,
            seconds=trial.limits.seconds,
            memory_bytes=trial.limits.memory_bytes,
            losses=losses,
        )

    @property
    def lane(self) -> tuple[int, bool, str]:
        """Return what it queues with; lanes run in this order."""
        return self.block, self.exclusive, self.device

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Place:
    """The part of a node that a trial has while it runs."""

    node: str
    cores: tuple[int, ...]
    gpu: str  # empty: none
    exclusive: bool


@dataclass(slots=True)
class Node:
    """What a node has, and what of it is free."""

    slots: int
    gpus: int
    open: bool = False  # its agent takes trials
    running: int = 0
    exclusive: bool = False
    free_cores: list[int] = field(default_factory=list)
    free_gpus: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Lane:
    """Trials that queue together."""

    device: str
    exclusive: bool
    threads: int = 1  # the most that one of them asks for
    works: deque[Work] = field(default_factory=deque)
    node: str | None = None  # where the first of a timed lane went


class Schedule:
    """The trials that wait, and the nodes that could run them."""

    def __init__(self, works: Iterable[Work]) -> None:
        lanes: dict[tuple[int, bool, str], Lane] = {}
        for work in works:
            lane = lanes.setdefault(work.lane, Lane(work.device, work.exclusive))
            lane.threads = max(lane.threads, work.threads)
            lane.works.append(work)
        self._lanes = dict(sorted(lanes.items()))
        self.nodes: dict[str, Node] = {}

    def open(self, node: str, cores: Iterable[int], gpus: Iterable[str]) -> None:
        """Note that a node's agent is there, idle, with these cores and accelerators."""
        state = self.nodes[node]
        state.free_cores, state.free_gpus = list(cores), list(gpus)
        state.slots, state.gpus = len(state.free_cores), len(state.free_gpus)
        state.running, state.exclusive, state.open = 0, False, True

    def remove(self, node: str) -> None:
        """Note that a node is gone; what was to be compared on it starts on another."""
        del self.nodes[node]
        for lane in self._lanes.values():
            if lane.node == node:
                lane.node = None

    def next(self, node: str) -> tuple[Work, Place] | None:
        """Return what the node is to run now; None: nothing, or nothing yet."""
        state = self.nodes[node]
        if not state.open or state.exclusive:
            return None
        for lane in self._lanes.values():
            if not lane.works or not self._suits(node, lane):
                continue
            if lane.device != "cpu" and not state.free_gpus and not lane.exclusive:
                continue  # cores need not wait for an accelerator
            if len(state.free_cores) < lane.works[0].threads or (lane.exclusive and state.running):
                return None  # passing it by could keep it waiting for ever
            return self._take(node, lane)
        return None

    def release(self, place: Place) -> None:
        """Note that a place is free again."""
        state = self.nodes[place.node]
        state.running -= 1
        state.exclusive = False
        state.free_cores = sorted([*state.free_cores, *place.cores])
        state.free_gpus += [place.gpu] if place.gpu else []

    def requeue(self, work: Work) -> None:
        """Put back a trial whose node or agent was lost: it is the next of its lane."""
        self._lanes[work.lane].works.appendleft(work)

    def strand(self) -> list[tuple[Work, str, str]]:
        """Return, with a reason and an advice, the trials no node could run; they wait no more."""
        stranded: list[tuple[Work, str, str]] = []
        for lane in self._lanes.values():
            for work in list(lane.works):
                if not any(_fits(node, work.device, work.threads) for node in self.nodes.values()):
                    lane.works.remove(work)
                    stranded.append((work, *self._refusal(work)))
            lane.threads = max((work.threads for work in lane.works), default=1)
        return stranded

    @property
    def empty(self) -> bool:
        """Return whether no trial waits."""
        return not any(lane.works for lane in self._lanes.values())

    def _refusal(self, work: Work) -> tuple[str, str]:
        slots = [node.slots for node in self.nodes.values() if _fits(node, work.device, 1)]
        if not slots:
            reason = f"device {work.device!r}: no node of the cluster has one"
            return reason, "choose a device that is there: device = 'auto' means every one"
        reason = f"asks for {work.threads} threads; the largest node gives {max(slots)} cores"
        return reason, "lower threads, or join a cluster with larger nodes (--address)"

    def _suits(self, node: str, lane: Lane) -> bool:
        """Return whether the node may run the lane.

        A node with accelerators leaves work for processors to nodes without, where there are any.
        """
        state = self.nodes[node]
        if not _fits(state, lane.device, lane.threads) or (
            lane.exclusive and lane.node not in (None, node)
        ):
            return False
        if lane.device != "cpu" or not state.gpus:
            return True
        plain = [each for each in self.nodes.values() if not each.gpus]
        return not any(_fits(each, lane.device, lane.threads) for each in plain)

    def _take(self, node: str, lane: Lane) -> tuple[Work, Place]:
        state, work = self.nodes[node], lane.works.popleft()
        lane.node = node
        cores = tuple(state.free_cores[: work.threads])
        del state.free_cores[: work.threads]
        gpu = "" if lane.device == "cpu" else state.free_gpus.pop(0)
        state.running += 1
        state.exclusive = lane.exclusive
        return work, Place(node, cores, gpu, lane.exclusive)


def _fits(node: Node, device: str, threads: int) -> bool:
    return node.slots >= threads and (device == "cpu" or node.gpus > 0)
