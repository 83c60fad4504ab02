"""Every figure of a report, in the order of its sections."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.report.figures import (
    budgets,
    canvas,
    learning,
    memory,
    phases,
    spectrum,
    speed,
    stability,
    tradeoff,
    truncation,
)
from harness.report.figures.canvas import Drawing
from harness.report.figures.scene import scene
from harness.trial import Record


def draw(frame: pd.DataFrame, records: Sequence[Record]) -> tuple[Drawing, ...]:
    """Return the figures that have something to show; the frame's index points into `records`."""
    if frame.empty:
        return ()
    on = scene(frame)
    with canvas.styled():
        made = [
            *speed.draw(frame, on),
            *phases.draw(frame, on),
            *memory.draw(frame, on),
            *stability.draw(frame, records, on),
            *spectrum.draw(frame, records, on),
            *truncation.draw(frame, records, on),
            *learning.draw(frame, records, on),
            *budgets.draw(frame, records, on),
            *tradeoff.draw(frame, on),
        ]
    return tuple(drawing for drawing in made if drawing is not None)
