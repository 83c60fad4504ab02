"""Says which trial a node runs next: timing trials alone, the others packed, never both at once.

A unit of timing trials, once begun, goes on until its end, on its node: rivals run close in time,
and times of two machines are not compared. The blocks of a setting may run side by side, on nodes
of one kind. Everything goes longest first, and small nodes do the timing as far as they can
(`share.py`), so that all nodes end together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.executors import share
from harness.executors.waiting import Need, Unit, Waiting
from harness.executors.work import Place, Work

ROUND = 1 / 8  # of all work: how far one kind is let ahead before a node changes to the other


@dataclass(slots=True)
class Node:
    """What a node has, and what of it is free."""

    slots: int
    gpus: int = 0
    accelerator: str = ""  # the kind of its accelerators, as a device: "cuda:H100"
    kind: str = ""  # nodes of one kind are alike in speed
    open: bool = False  # its agent takes trials
    exclusive: bool = False  # runs a trial alone
    timed: bool = False  # what it began last was one
    widths: list[int] = field(default_factory=list)  # the cores of each trial that runs
    free_cores: list[int] = field(default_factory=list)
    free_gpus: list[str] = field(default_factory=list)

    def has(self, device: str, threads: int) -> bool:
        """Return whether it has a device and so many cores."""
        return self.slots >= threads and (
            device == "cpu" or (self.gpus > 0 and device in ("cuda", self.accelerator))
        )


class Schedule:
    """The trials that wait, and the nodes that could run them."""

    def __init__(self, works: Iterable[Work]) -> None:
        self._waiting = Waiting(works)
        self._devices = sorted({work.device for work in self._waiting})
        self._kinds: dict[str, str] = {}  # of node, that a setting is timed on
        self.nodes: dict[str, Node] = {}

    def open(self, node: str, cores: Iterable[int], gpus: Iterable[str], kind: str = "") -> None:
        """Note that a node's agent is there, idle, with these cores and accelerators."""
        state = self.nodes[node]
        state.free_cores, state.free_gpus = list(cores), list(gpus)
        state.slots, state.gpus = len(state.free_cores), len(state.free_gpus)
        state.kind = f"{kind} {state.accelerator}"
        state.widths, state.exclusive, state.open = [], False, True

    def remove(self, node: str) -> None:
        """Note that a node is gone; what was to be compared on it goes on on another."""
        del self.nodes[node]
        self._waiting.leave(node)

    def next(self, node: str) -> tuple[Work, Place] | None:
        """Return what the node is to run now; None: nothing, or nothing yet."""
        state = self.nodes[node]
        if not state.open or state.exclusive or not state.free_cores:
            return None
        unit, needs = self._unit(node), self._needs(node)
        if unit is not None and (unit.node == node or not needs or self._is_for_timing(node, unit)):
            # Until then its cores stay free: packed trials could keep it waiting for ever.
            return None if state.widths else self._place(node, self._next_of(unit, node))
        need = self._fitting(state, needs)
        return None if need is None else self._place(node, self._waiting.take(need))

    def release(self, place: Place) -> None:
        """Note that a place is free again."""
        state = self.nodes[place.node]
        state.widths.remove(len(place.cores))
        state.exclusive = False
        state.free_cores = sorted([*state.free_cores, *place.cores])
        if place.gpu:  # sorted: rivals have the same one
            state.free_gpus = sorted([*state.free_gpus, place.gpu])

    def requeue(self, work: Work) -> None:
        """Put back a trial whose node or agent was lost."""
        self._waiting.put_back(work)

    def learn(self, work: Work, seconds: float) -> None:
        """Take in how long a trial took that ended well."""
        self._waiting.learn(work, seconds)

    def strand(self) -> list[tuple[Work, str, str]]:
        """Return, with a reason and an advice, the trials no node could run; they wait no more."""
        nodes = self.nodes.values()
        stranded = [
            work
            for work in self._waiting
            if not any(node.has(work.device, work.threads) for node in nodes)
        ]
        for work in stranded:
            self._waiting.drop(work)
        return [(work, *self._refusal(work)) for work in stranded]

    @property
    def empty(self) -> bool:
        """Return whether no trial waits."""
        return not self._waiting

    def _refusal(self, work: Work) -> tuple[str, str]:
        slots = [node.slots for node in self.nodes.values() if node.has(work.device, 1)]
        if not slots:
            reason = f"device {work.device!r}: no node of the cluster has one"
            return reason, "choose a device that is there: device = 'auto' means every one"
        reason = f"asks for {work.threads} threads; the largest node gives {max(slots)} cores"
        return reason, "lower threads, or join a cluster with larger nodes (--address)"

    def _suits(self, node: str, device: str, threads: int) -> bool:
        """Return whether the node may run such a trial.

        A node with accelerators leaves work for processors to nodes without, where there are any.
        """
        state = self.nodes[node]
        if not state.has(device, threads) or device != "cpu" or not state.gpus:
            return state.has(device, threads)
        return not any(each.has(device, threads) for each in self.nodes.values() if not each.gpus)

    def _unit(self, node: str) -> Unit | None:
        """Return the unit that the node has begun, or else the longest that it may begin."""
        units = self._waiting.units()
        for unit in units:
            if unit.node == node:
                return unit
        for unit in units:
            suits = unit.node is None and self._suits(node, unit.device, unit.threads)
            if suits and self._kind(unit) == self.nodes[node].kind:
                return unit
        return None

    def _next_of(self, unit: Unit, node: str) -> Work:
        self._kinds[unit.setting] = self.nodes[node].kind
        return self._waiting.take_of(unit, node)

    def _kind(self, unit: Unit) -> str:
        """Return the kind of node that a setting is timed on: with the most time left for it."""
        nodes = [name for name in self.nodes if self._suits(name, unit.device, unit.threads)]
        pinned = self._kinds.get(unit.setting)
        if pinned is not None and any(self.nodes[name].kind == pinned for name in nodes):
            return pinned  # those that are closed come back, or are removed
        kinds = {self.nodes[name].kind for name in nodes if self.nodes[name].open}
        if len(kinds) == 1:
            return kinds.pop()
        left = dict.fromkeys(sorted(kinds), 0.0)
        for name, seconds in self._parts(nodes, [unit.device])[0].items():
            if self.nodes[name].open:
                left[self.nodes[name].kind] += seconds
        for each in self._waiting.units():
            if (kind := self._kinds.get(each.setting, "")) in left:
                left[kind] -= each.seconds
        return max(left, key=lambda kind: left[kind])

    def _parts(self, nodes: list[str], devices: list[str]) -> tuple[dict[str, float], float]:
        """Return the seconds of each node that are for timing, and those until all is done."""
        names = sorted(nodes, key=lambda name: (self._width(name), name))
        alone = self._waiting.account(devices, alone=True).left
        packed = self._waiting.account(devices, alone=False).left
        seconds = share.soonest([self._width(name) for name in names], alone, packed)
        parts = {name: share.part(place, seconds, alone) for place, name in enumerate(names)}
        return parts, seconds

    def _needs(self, node: str) -> list[Need]:
        return [need for need in self._waiting.needs() if self._suits(node, need[1], need[0])]

    def _is_for_timing(self, node: str, unit: Unit) -> bool:
        """Return whether the node's part is now to time, where it could do both."""
        served = self._served(node)
        peers = [name for name in self.nodes if self._served(name) == served]
        parts, seconds = self._parts(peers, served)
        if parts[node] in (0.0, seconds):
            return parts[node] > 0.0
        state = self.nodes[node]
        if len(peers) > 1:  # others time meanwhile; the longer it waits, the shorter what must end
            latest = max(parts[node], unit.seconds) / (1 - ROUND)
            return not state.widths or seconds <= latest
        alone = self._waiting.account(served, alone=True).done
        behind = self._waiting.account(served, alone=False).done - alone
        return behind > 0.0 if state.timed else behind >= ROUND

    def _served(self, node: str) -> list[str]:
        """Return the devices for which the node takes trials."""
        return [device for device in self._devices if self._suits(node, device, 1)]

    def _width(self, node: str) -> int:
        """Return how many trials that share can run on the node at a time."""
        state = self.nodes[node]
        return state.slots if "cpu" in self._served(node) else max(1, state.gpus)

    def _fitting(self, state: Node, needs: list[Need]) -> Need | None:
        """Return the widest need that there is room for now and that keeps no wider one waiting."""
        spare = len(state.free_cores)
        for threads, device in needs:
            if device != "cpu" and not state.free_gpus:
                continue  # cores need not wait for an accelerator
            if threads <= spare:
                return threads, device
            # The cores that such trials leave over, side by side, are for narrower ones.
            narrow = sum(width for width in state.widths if width < threads)
            spare = min(spare, state.slots % threads - narrow)
        return None

    def _place(self, node: str, work: Work) -> tuple[Work, Place]:
        state = self.nodes[node]
        cores = tuple(state.free_cores[: work.threads])
        del state.free_cores[: work.threads]
        gpu = "" if work.device == "cpu" else state.free_gpus.pop(0)
        state.widths.append(work.threads)
        state.exclusive = state.timed = work.exclusive
        return work, Place(node, cores, gpu, work.exclusive)
