"""A node as a schedule knows it: what it has, and what of that is free."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from harness.executors.near import divide
from harness.executors.waiting import Need, Unit
from harness.executors.work import Place


@dataclass(slots=True)
class Node:
    """A node's cores and accelerators, and the trials that it runs."""

    slots: int
    gpus: int = 0
    accelerator: str = ""  # the kind of its accelerators, as a device: "cuda:H100"
    kind: str = ""  # nodes of one kind are alike in speed
    open: bool = False  # its agent takes trials
    timing: bool = False  # what it began last was timed
    alone: bool = False  # and has all of the node
    timed: dict[str, Unit] = field(default_factory=dict)  # of which a trial runs, by accelerator
    ends: dict[Place, float] = field(default_factory=dict)  # when what runs is expected to end
    shares: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of cores, by accelerator
    free_cores: list[int] = field(default_factory=list)
    free_gpus: list[str] = field(default_factory=list)

    def has(self, device: str, threads: int) -> bool:
        """Return whether it has a device and so many cores."""
        return self.slots >= threads and (
            device == "cpu" or (self.gpus > 0 and device in ("cuda", self.accelerator))
        )

    def seats(self, threads: int, device: str) -> int:
        """Return how many timed trials that need so much it runs at a time."""
        apart = device != "cpu" and threads * self.gpus <= self.slots
        return max(1, self.gpus) if apart else 1

    def begin(
        self,
        cores: Sequence[int],
        gpus: Sequence[str],
        kind: str,
        near: Sequence[Collection[int]],
    ) -> None:
        """Note that its agent is there, idle; `near` are the cores near each accelerator."""
        self.free_cores, self.free_gpus = list(cores), list(gpus)
        self.slots, self.gpus = len(cores), len(gpus)
        self.shares = dict(zip(gpus, divide(cores, near or [()] * len(gpus)), strict=True))
        self.kind = f"{kind} {self.accelerator}"
        self.ends, self.timed, self.alone, self.open = {}, {}, False, True

    @property
    def packed(self) -> bool:
        """Return whether trials run that are not timed."""
        return bool(self.ends) and not self.timed

    def room(self, need: Need) -> bool:
        """Return whether what a trial needs is free."""
        threads, device = need
        return threads <= len(self.free_cores) and (device == "cpu" or bool(self.free_gpus))

    def fitting(self, needs: Iterable[Need]) -> Need | None:
        """Return the widest need that there is room for now and that keeps no wider one waiting."""
        spare = len(self.free_cores)
        for threads, device in needs:
            if device != "cpu" and not self.free_gpus:
                continue  # cores need not wait for an accelerator
            if threads <= spare:
                return threads, device
            # The cores that such trials leave over, side by side, are for narrower ones.
            widths = [len(place.cores) for place in self.ends]
            narrow = sum(width for width in widths if width < threads)
            spare = min(spare, self.slots % threads - narrow)
        return None

    def give(self, place: Place, ends: float) -> None:
        """Note that a trial has a place, and when it is expected to end."""
        self.free_cores = [core for core in self.free_cores if core not in place.cores]
        self.free_gpus = [name for name in self.free_gpus if name != place.gpu]
        self.timing = place.exclusive
        self.ends[place] = ends

    def take_back(self, place: Place) -> None:
        """Note that a place is free again."""
        self.free_cores = sorted([*self.free_cores, *place.cores])
        if place.gpu:  # sorted: rivals have the same one
            self.free_gpus = sorted([*self.free_gpus, place.gpu])
        del self.ends[place]
        if place.exclusive:
            del self.timed[place.gpu]
            self.alone = False
