"""Full BPTT that keeps at most `slots` steps' activations and runs the fewest steps again.

A step whose activations are kept goes back without being run again, which a kept state does not
spare: D(T, m) ≤ C(T, m), for slots that are larger by the cell's activations.

Source: Gruslys, Munos, Danihelka, Lanctot and Graves (2016), Memory-efficient backpropagation
through time (internal state memorization).
Time: D(T, m) steps forward and T back. Memory: the activations of m steps.
It cannot start learning before the sequence ends.
"""

from dataclasses import dataclass

import torch

from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    Gradient,
    GradientMethod,
    Hook,
    Shape,
    State,
)
from harness.model import Model, detach
from implementations.gradients import _schedules
from implementations.gradients.checkpointed import Later, Tape, begun, record, replay
from implementations.gradients.checkpointed_states import advanced


@dataclass
class CheckpointedInternals(GradientMethod):
    """The optimal schedule for activations."""

    slots: int = 8

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"slots must be at least 1, not {self.slots}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: only activations are dropped, no gradient is."""
        return "exact"

    def cost(self, shape: Shape) -> Cost:
        """Return D(T, m) steps forward; of kept steps the activations, of each row its state."""
        schedule = _schedules.of_internals(shape.length, self.slots)
        steps, rows = schedule.forward_steps(shape.length), first_rows(schedule, shape.length)
        forward = (shape.forward_flops - shape.readout_flops) * steps / shape.length
        kept = (shape.saved_step + 1) * shape.states * sum(rows) / shape.length  # h again, stacked
        last = rows[-1] / shape.length * shape.loss_bytes
        return Cost(
            flops=forward + shape.readout_flops + shape.backward_flops,
            kept_bytes=kept * shape.item_bytes
            + (len(rows) + 1) * shape.state_bytes
            + shape.weight_bytes,
            sequential_depth=steps + shape.length,
            backward_bytes=last + 2 * shape.state_bytes + shape.weight_bytes,  # a row's
        )

    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient, last step first."""
        schedule = _schedules.of_internals(len(window), self.slots)
        kept: list[Tape] = []  # never more than `slots` steps in all
        last: State | None = None
        later: Later | None = None
        end = len(window)  # steps that are still to come back
        while end:
            first = kept[-1].segment.start - window.start + len(kept[-1].segment) if kept else 0
            if first < end:
                free = self.slots - sum(len(tape.segment) for tape in kept)
                at = first + schedule.next_kept(end - first, free) - 1
                run = neighbours(schedule, end - at, free)
                start = detach(kept[-1].end) if kept else carry
                start = advanced(model, window.window(first, at), start)
                kept.append(record(model, window.window(at, at + run), start, hook))
                continue
            if later is None:
                last = detach(kept[-1].end)
                later = begun(model, tuple(map(torch.zeros_like, last)))
            end -= len(kept[-1].segment)
            replay(model, kept.pop(), later)  # no name: it would outlive its slots
        assert last is not None, "a window has at least one step"
        assert later is not None
        return later.gradient, last


def neighbours(schedule: _schedules.Schedule, length: int, free: int) -> int:
    """Return how many steps are kept in a row: one graph, since they come back in a row too.

    `length` steps are left from the first of them on, and `free` slots.
    """
    run = 1
    while run < min(length, free) and schedule.next_kept(length - run, free - run) == 1:
        run += 1
    return run


def first_rows(schedule: _schedules.Schedule, length: int) -> list[int]:
    """Return how many steps each row has when the first step is to come back."""
    first, rows = 0, list[int]()
    while first < length:
        free = len(schedule.steps) - sum(rows)
        at = first + schedule.next_kept(length - first, free) - 1
        rows.append(neighbours(schedule, length - at, free))
        first = at + rows[-1]
    return rows
