"""How nodes share two kinds of work: the one that needs a node alone, the one that fills cores.

A trial that runs alone leaves the other cores of its node idle, so it costs least on a small node.
The soonest end comes of giving the smallest nodes to such trials for the whole time, the largest
ones to the rest, and at most one node in between to both. This is a linear programme with one
constraint a node, solved by its greedy order.
"""

from __future__ import annotations

from collections.abc import Sequence


def soonest(widths: Sequence[int], alone: float, packed: float) -> float:
    """Return the seconds in which nodes, narrowest first, could do all work if it were divisible.

    `alone` is in seconds of a node, whatever its width; `packed` in seconds of one of its parts.
    """
    for full, width in enumerate(widths):
        rest = sum(widths[full:])
        seconds = (packed + alone * width) / (rest + full * width)
        if alone <= (full + 1) * seconds:
            return seconds
    return alone / len(widths)


def part(place: int, seconds: float, alone: float) -> float:
    """Return the seconds that the node at a place in the order of widths has for trials alone."""
    return min(seconds, max(0.0, alone - place * seconds))
