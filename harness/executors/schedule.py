"""Says which trial a node runs next: timing trials apart, the others packed, never both at once.

A timing trial has its node to itself; one for an accelerator has that and an equal share of the
cores, near ones where the machine tells, and the other accelerators may be timed beside it. A unit
of timing trials, once begun, goes on until its end, on its node and its accelerator: rivals run
close in time, and times of two machines are not compared. The blocks of a setting may run side by
side, on nodes of one kind. Everything goes longest first, and the nodes where it costs least do the
timing as far as they can (`share.py`), so that all nodes end together.

A node that changes from one to the other waits until what it runs has ended. Meanwhile it begins
only what should end no later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence

from harness.executors import share
from harness.executors.node import Node
from harness.executors.waiting import Need, Unit, Waiting
from harness.executors.work import Place, Work

EVEN = 1.01  # times that differ by less are equal: what begins together ends together
ROUND = 1 / 8  # of all work: how far one kind is let ahead before a node changes to the other


class Schedule:
    """The trials that wait, and the nodes that could run them."""

    def __init__(self, works: Iterable[Work], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting = Waiting(works)
        self._devices = sorted({work.device for work in self._waiting})
        self._kinds: dict[str, str] = {}  # of node, that a setting is timed on
        self.nodes: dict[str, Node] = {}

    def open(
        self,
        node: str,
        cores: Sequence[int],
        gpus: Sequence[str],
        kind: str = "",
        near: Sequence[Collection[int]] = (),
    ) -> None:
        """Note that a node's agent is there, idle, with these cores and accelerators.

        `near`: the cores near each accelerator, as far as that is known.
        """
        self.nodes[node].begin(cores, gpus, kind, near)
        self._waiting.leave(node, len(cores), gpus)

    def remove(self, node: str) -> None:
        """Note that a node is gone; what was to be compared on it goes on on another."""
        del self.nodes[node]
        self._waiting.leave(node)

    def next(self, node: str) -> tuple[Work, Place] | None:
        """Return what the node is to run now; None: nothing, or nothing yet."""
        state = self.nodes[node]
        if not state.open or state.alone or not state.free_cores:
            return None
        needs = self._needs(node)
        unit = self._unit(node, needs)
        if unit is not None:
            return self._time(node, unit) or self._fill(node, needs)
        need = None if state.timed else state.fitting(needs)
        return None if need is None else self._pack(node, self._waiting.take(need))

    def release(self, place: Place) -> None:
        """Note that a place is free again."""
        self.nodes[place.node].take_back(place)

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

    def _unit(self, node: str, needs: list[Need]) -> Unit | None:
        """Return the unit that the node is to time, now or once it is free for it."""
        state = self.nodes[node]
        units = self._waiting.units()
        for unit in units:
            if unit.node == node and unit.gpu not in state.timed:
                return unit
        first = next((unit for unit in units if self._may_begin(node, unit)), None)
        if first is None or not needs or self._is_for_timing(node, first):
            return first
        if not state.timed:
            return None
        rest = {place: self._waiting.left(state.timed[place.gpu]) for place in state.ends}
        last = max(ends + rest[place] for place, ends in state.ends.items())
        spare = EVEN * (last - self._clock())
        fitting = (unit for unit in units if unit.seconds <= spare and self._may_begin(node, unit))
        return next(fitting, None)

    def _may_begin(self, node: str, unit: Unit) -> bool:
        """Return whether nothing but other work speaks against a unit's beginning on the node."""
        state = self.nodes[node]
        if unit.node is not None or len(state.timed) >= state.seats(*unit.need):
            return False
        return self._suits(node, unit.device, unit.threads) and self._kind(unit) == state.kind

    def _time(self, node: str, unit: Unit) -> tuple[Work, Place] | None:
        """Return the next trial of a unit; None: the node is not free for it yet."""
        state = self.nodes[node]
        seats = state.seats(*unit.need)
        alone = seats == 1 or unit.works[0].alone
        if state.packed or (alone and state.timed):
            return None
        gpu = unit.gpu if unit.node == node or unit.device == "cpu" else state.free_gpus[0]
        self._kinds[unit.setting] = state.kind
        work = self._waiting.take_of(unit, node, gpu)
        state.timed[gpu], state.alone = unit, alone
        return self._place(node, work, state.shares[gpu] if seats > 1 else state.free_cores, gpu)

    def _fill(self, node: str, needs: list[Need]) -> tuple[Work, Place] | None:
        """Return a packed trial for a node that is to time; any other could keep it from it."""
        state = self.nodes[node]
        if not state.packed:
            return None
        spare = max(state.ends.values()) - self._clock()
        found = (self._waiting.take_within(need, spare) for need in needs if state.room(need))
        work = next((work for work in found if work is not None), None)
        return None if work is None else self._pack(node, work)

    def _pack(self, node: str, work: Work) -> tuple[Work, Place]:
        state = self.nodes[node]
        gpu = "" if work.device == "cpu" else state.free_gpus[0]
        return self._place(node, work, state.free_cores, gpu)

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
        """Return the seconds that each node is to time, and those until all is done."""
        rooms = {name: self._room(name, devices) for name in nodes}
        names = sorted(nodes, key=lambda name: (share.cost(rooms[name]), rooms[name], name))
        ordered = [rooms[name] for name in names]
        alone = self._waiting.account(devices, timed=True).left
        packed = self._waiting.account(devices, timed=False).left
        seconds = share.soonest(ordered, alone, packed)
        return dict(zip(names, share.parts(ordered, seconds, alone), strict=True)), seconds

    def _room(self, node: str, devices: list[str]) -> share.Room:
        """Return how many trials the node runs at a time: timed ones as they wait, and others."""
        state = self.nodes[node]
        waiting = self._waiting.accounts(devices, timed=True).items()
        seconds = math.fsum(account.left for _, account in waiting)
        turns = math.fsum(account.left / state.seats(*need) for need, account in waiting)
        return seconds / turns if turns else 1.0, self._width(node)

    def _needs(self, node: str) -> list[Need]:
        return [need for need in self._waiting.needs() if self._suits(node, need[1], need[0])]

    def _is_for_timing(self, node: str, unit: Unit) -> bool:
        """Return whether the node's part is now to begin a unit, where it could do both."""
        served = self._served(node)
        peers = [name for name in self.nodes if self._served(name) == served]
        parts, seconds = self._parts(peers, served)
        state = self.nodes[node]
        seats, _ = self._room(node, served)
        part = max(parts[node], min(self._own(node, list(parts)), seats * seconds))
        begun = math.fsum(map(self._waiting.left, state.timed.values()))
        if begun >= part or part == seats * seconds:
            return begun < part
        if len(peers) > 1:  # others time meanwhile; the longer it waits, the shorter what must end
            latest = max(part / seats, unit.seconds) / (1 - ROUND)
            return not state.packed or seconds <= latest
        alone = self._waiting.account(served, timed=True)
        alone.move(begun)
        behind = self._waiting.account(served, timed=False).done - alone.done
        return behind > 0.0 if state.timing else behind >= ROUND

    def _own(self, node: str, peers: list[str]) -> float:
        """Return the seconds that wait to be timed, and that none of the peers before it could."""
        seconds = 0.0
        for unit in self._waiting.units():
            able = (name for name in peers if self._may_time(name, unit))
            if next(able, "") == node:
                seconds += self._waiting.left(unit)
        return seconds

    def _may_time(self, node: str, unit: Unit) -> bool:
        kind = self._kinds.get(unit.setting, self.nodes[node].kind)
        suits = self._suits(node, unit.device, unit.threads) and kind == self.nodes[node].kind
        return suits and unit.node in (None, node)

    def _served(self, node: str) -> list[str]:
        """Return the devices for which the node takes trials."""
        return [device for device in self._devices if self._suits(node, device, 1)]

    def _width(self, node: str) -> int:
        """Return how many trials that share can run on the node at a time."""
        state = self.nodes[node]
        return state.slots if "cpu" in self._served(node) else max(1, state.gpus)

    def _place(self, node: str, work: Work, cores: Sequence[int], gpu: str) -> tuple[Work, Place]:
        place = Place(node, tuple(cores[: work.threads]), gpu, work.exclusive)
        self.nodes[node].give(place, self._clock() + self._waiting.seconds(work))
        return work, place
