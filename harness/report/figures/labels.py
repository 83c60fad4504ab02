"""Names beside the ends of lines or near points, placed so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from harness.report.figures.palette import PAPER

SIZE = 6.5  # points: smaller than the axes' text, for there may be a dozen
LINE = 1.28  # heights of the text from one label to the next
LETTER = 0.56  # heights of the text that a letter is wide, on average
INCH = 72.0  # points
ROOM = (-0.1, 1.08)  # of the panel's height: labels may stand a little beyond it
LEADER = 9.0  # points from the axes to a label, which a thin line bridges
CLOSE = 9.0  # points: a name further from its point needs a line to it
POINT = 4.0  # points around a marker that no name covers
_UP = (7.0, 0.0, -8.0, 16.0, -16.0, 25.0, -25.0)  # points
_NEAR = [(6.0, up, 0.0) for up in _UP[:3]] + [(-6.0, up, 1.0) for up in _UP[:3]]
_FAR = [(side, up, 0.0 if side > 0 else 1.0) for up in _UP[3:] for side in (6.0, -6.0)]
PLACES = (*_NEAR, (0.0, 9.0, 0.5), (0.0, -9.0, 0.5), *_FAR)
# (points to the right, points up, share of the name's width that it is moved to the left)

Box = tuple[float, float, float, float]  # left, bottom, right, top, in points


@dataclass(frozen=True, slots=True)
class End:
    """Where a line ends, in the data's units, and what it is called."""

    x: float
    y: float
    text: str
    colour: str


def width(names: Sequence[str]) -> float:
    """Return the inches that the longest of the names needs beside a panel."""
    longest = max((len(name) for name in names), default=0)
    return (LEADER + longest * SIZE * LETTER) / INCH


def beside(ax: Axes, ends: Sequence[End]) -> None:
    """Write each end's name right of the axes, near where the line ends.

    Both axes must have their scales and limits.
    """
    points = INCH / ax.figure.dpi
    wide, high = ax.bbox.width * points, ax.bbox.height * points
    ordered = sorted(ends, key=lambda end: (end.y, end.text))
    to_axes = ax.transData + ax.transAxes.inverted()
    wanted = [float(to_axes.transform((end.x, end.y))[1]) for end in ordered]
    for end, height in zip(ordered, apart(wanted, SIZE * LINE / high, *ROOM), strict=True):
        ax.annotate(
            end.text,
            (end.x, end.y),
            (1.0 + LEADER / wide, height),
            textcoords="axes fraction",
            va="center",
            color=end.colour,
            fontsize=SIZE,
            annotation_clip=False,
            arrowprops=_leader(end.colour, 0.0),
        )


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places near the wanted ones, in ascending order, at least `gap` from one another.

    Neighbours that are too close share the way evenly. Where there is no room for all, the gap
    shrinks.
    """
    count = len(wanted)
    if count > 1:
        gap = min(gap, (high - low) / (count - 1))
    blocks: list[tuple[float, int]] = []  # (sum of where the first would stand, how many)
    for place, want in enumerate(np.clip(wanted, low, high)):
        total, many = float(want) - place * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / many:
            total, many = total + blocks[-1][0], many + blocks[-1][1]
            blocks.pop()
        blocks.append((total, many))
    most = high - (count - 1) * gap
    firsts = [min(max(total / many, low), most) for total, many in blocks for _ in range(many)]
    return [first + place * gap for place, first in enumerate(firsts)]


def near(ax: Axes, named: Sequence[End], others: Sequence[tuple[float, float]]) -> None:
    """Write each name near its point, where it covers no name and no point, of `others` neither.

    Both axes must have their scales and limits.
    """
    points = INCH / ax.figure.dpi

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = ax.transData.transform((x, y)) * points
        return float(across), float(up)

    left, bottom, right, top = (float(end) * points for end in ax.bbox.extents)
    room = (left, bottom, right, top)
    spots = [place(end.x, end.y) for end in named] + [place(*other) for other in others]
    taken = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in spots]
    for end in named:
        x, y = place(end.x, end.y)
        boxes = [_box(x, y, end.text, *offset) for offset in PLACES]
        costs = [sum(_shared(box, one) for one in taken) + _outside(box, room) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        aside, up, share = PLACES[best]
        ax.annotate(
            end.text,
            (end.x, end.y),
            (aside, up),
            textcoords="offset points",
            ha={0.0: "left", 0.5: "center", 1.0: "right"}[share],
            va="center",
            color=end.colour,
            fontsize=SIZE,
            annotation_clip=False,
            bbox={"facecolor": PAPER.light, "edgecolor": "none", "pad": 0.3},
            arrowprops=_leader(end.colour, share) if abs(up) > CLOSE else None,
            zorder=2.5,  # above lines, and below the points, of which it may hide none
        )


def _leader(colour: str, share: float) -> dict[str, Any]:
    """Return the thin line from a name, at this share of its width, to what it names."""
    line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "relpos": (share, 0.5)}
    return {**line, "shrinkA": 0.0, "shrinkB": 0.0}


def _box(x: float, y: float, text: str, right: float, up: float, share: float) -> Box:
    """Return where the text would stand, an offset away from (x, y)."""
    wide, high = len(text) * SIZE * LETTER, SIZE * LINE
    left, middle = x + right - share * wide, y + up
    return left, middle - high / 2, left + wide, middle + high / 2


def _shared(one: Box, other: Box) -> float:
    """Return the area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)


def _outside(box: Box, room: Box) -> float:
    """Return the area of the box that does not lie in the room."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _shared(box, room)
