"""How nodes share two kinds of work: the one that is timed, the one that fills cores.

A timed trial leaves its node's other cores idle, or those of its accelerator, so it costs least
where few others would fit in its place. The soonest end comes of giving the nodes where that is so
to timed trials for the whole time, the others to the rest, and at most one node in between to both.
This is a linear programme with one constraint a node, solved by its greedy order.
"""

from __future__ import annotations

from collections.abc import Sequence

Room = tuple[float, int]  # of a node, as trials at a time: that are timed, that fill it


def cost(room: Room) -> float:
    """Return how many trials would fit in place of each timed one."""
    seats, width = room
    return width / seats


def soonest(rooms: Sequence[Room], alone: float, packed: float) -> float:
    """Return the seconds in which nodes, by cost, could do all work if it were divisible.

    `alone` is in seconds of what a timed trial has to itself; `packed` in seconds of one of the
    parts that others fill.
    """
    before = 0.0  # timed at a time by the nodes that do nothing else
    for full, room in enumerate(rooms):
        rest = sum(width for _, width in rooms[full:])
        seconds = (packed + alone * cost(room)) / (rest + before * cost(room))
        before += room[0]
        if alone <= before * seconds:
            return seconds
    return alone / before


def parts(rooms: Sequence[Room], seconds: float, alone: float) -> list[float]:
    """Return the seconds of timed trials that each node, in the order of cost, is to run."""
    found = []
    for seats, _ in rooms:
        found.append(min(seats * seconds, alone))
        alone -= found[-1]
    return found
