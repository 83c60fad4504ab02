"""Full BPTT that keeps at most `slots` states and runs the fewest steps again.

With m slots, C(T, m) = (r + 1) T − binom(m + r, r − 1) steps run forward, where r is the least with
binom(m + r, r) ≥ T. The first state takes a slot.

Source: Griewank and Walther (2000), Algorithm 799: revolve; Gruslys et al. (2016),
Memory-efficient backpropagation through time (hidden state memorization).
Time: C(T, m) steps forward and T back. Memory: m states and the activations of one step.
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
from implementations.gradients.checkpointed import Later, begun, record, replay


@dataclass
class CheckpointedStates(GradientMethod):
    """The optimal schedule for states."""

    slots: int = 8

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"slots must be at least 1, for the first state, not {self.slots}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: only states are dropped, no gradient is."""
        return "exact"

    def cost(self, shape: Shape) -> Cost:
        """Return C(T, m) steps forward; the most states, and one step's activations."""
        steps = _schedules.of_states(shape.length, self.slots).forward_steps(shape.length)
        forward = (shape.forward_flops - shape.readout_flops) * steps / shape.length
        step_bytes = (shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes) / (
            shape.length
        )
        # Beside the slots, the state that goes on from one, and what comes back.
        states = min(self.slots, shape.length) + 2
        return Cost(
            flops=forward + shape.readout_flops + shape.backward_flops,
            kept_bytes=states * shape.state_bytes + step_bytes + shape.weight_bytes,
            sequential_depth=steps + shape.length,
            backward_bytes=shape.loss_bytes / shape.length + shape.state_bytes + shape.weight_bytes,
        )

    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient, last step first."""
        schedule = _schedules.of_states(len(window), self.slots)
        kept: list[tuple[int, State]] = [(0, carry)]  # never more than `slots`
        last: State | None = None
        later: Later | None = None
        end = len(window)  # steps that are still to come back
        while end:
            first, state = kept[-1]
            free = self.slots - len(kept)
            if end - first > 1 and free:
                after = first + schedule.next_kept(end - first, free + 1)
                kept.append((after, advanced(model, window.window(first, after), state)))
                continue
            state = advanced(model, window.window(first, end - 1), state)
            tape = record(model, window.window(end - 1, end), state, hook)
            if later is None:
                last = detach(tape.end)
                later = begun(model, tuple(map(torch.zeros_like, last)))
            replay(model, tape, later)
            del tape  # its activations would be there while the next step is sought
            end -= 1
            if first == end:
                kept.pop()
        assert last is not None, "a window has at least one step"
        assert later is not None
        return later.gradient, last


@torch.no_grad()
def advanced(model: Model, window: Batch, state: State) -> State:
    """Return the state after the window, which may be empty, and nothing else."""
    for x in window.inputs:
        state = model.advance(x, state)
    return state
