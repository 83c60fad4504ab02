"""Anticipated reweighted truncated BPTT: cuts at random, and weighs what is not cut to make up.

Between steps t and t + 1 the message is cut with probability c, and else multiplied by 1/(1 − c):
δₜ = qₜ + X Jᵀ δₜ₊₁ with E[X] = 1. After l steps without a cut c = (α − 1)/((α − 2) L₀ + l), so that
segments are L₀ steps long on average and P(length > l) falls as l^−(α−1). All sequences of a batch
are cut together, for only then is a segment's memory free again.

Source: Tallec and Ollivier (2017), Unbiasing truncated backpropagation through time.
Time: as full BPTT. Memory: O(longest segment), which is random: L₀ on average, with a heavy tail.
It cannot be calm where gradients do not vanish: its variance grows with ‖J‖² / (1 − c) a step.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Batch, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape, State
from harness.drive import add
from harness.model import Model, detach, watch

Carried = tuple[State, torch.Generator]


@dataclass
class ARTBP(GradientMethod):
    """Segments of random length, `mean_length` (L₀) on average, with a tail of power α − 1."""

    steady = False
    mean_length: float = 16.0
    alpha: float = 6.0  # above 2 a mean exists, above 3 a variance too

    def __post_init__(self) -> None:
        if self.mean_length <= 1:
            raise ValueError(
                f"mean_length must be above 1 step, not {self.mean_length}: "
                "with a cut at every step nothing is left to weigh"
            )
        if self.alpha <= 2:
            raise ValueError(f"alpha must be above 2, not {self.alpha}: else no mean length exists")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return unbiased; a single step has nothing to cut."""
        return "exact" if length == 1 else "unbiased"

    def cost(self, shape: Shape) -> Cost:
        """Return full BPTT's work, and the memory expected of the longest segment."""
        share = self.longest(shape.length) / shape.length
        steps = shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes
        sum_bytes = shape.parameters * shape.item_bytes  # of the segments' gradients so far
        return Cost(
            flops=shape.forward_flops + shape.backward_flops,
            kept_bytes=share * steps + 2 * shape.state_bytes + sum_bytes,
            sequential_depth=2 * shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state and the source of cuts."""
        return model.initial_state(batch_size), generator

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return the sum of the segments' gradients."""
        state, generator = carry
        total: Gradient | None = None
        first = 0
        for steps in self.segments(len(window), generator):
            segment = window.window(first, first + steps)
            loss, state = self.through(model, segment, state, hook)
            total, first = add(total, model.gradient_of(loss)), first + steps
        assert total is not None, "a window has at least one step"
        return total, (state, generator)

    def segments(self, length: int, generator: torch.Generator) -> Iterator[int]:
        """Yield the steps of each segment of a sequence."""
        steps = 1
        for chance in torch.rand(length - 1, generator=generator, dtype=torch.float64).tolist():
            if chance < self.hazard(steps):
                yield steps
                steps = 0
            steps += 1
        yield steps

    def through(
        self, model: Model, segment: Batch, state: State, hook: Hook | None
    ) -> tuple[Tensor, State]:
        """Return the segment's loss, in whose graph messages are weighed, and the last state."""
        outputs = []
        for steps, x in enumerate(segment.inputs):
            before = watch(state, steps, self.weigh if steps else None)
            state = watch(model.advance(x, before), segment.start + steps, hook)
            outputs.append(state[0])
        loss = model.loss(torch.stack(outputs), segment.targets, segment.weights)
        return loss, detach(state)

    def weigh(self, steps: int, message: State) -> State:
        """Return the message that was not cut `steps` after the last cut: 1/(1 − c) times it."""
        factor = 1 / (1 - self.hazard(steps))
        return tuple(factor * part for part in message)

    def hazard(self, steps: int) -> float:
        """Return c, the probability of a cut `steps` steps after the last one."""
        return (self.alpha - 1) / ((self.alpha - 2) * self.mean_length + steps)

    def longest(self, length: int) -> float:
        """Return the expected steps of the longest segment, as if segments were independent.

        E = Σₘ P(longest > m) with P = 1 − (1 − P(one > m))ⁿ, n the segments that begin in time.
        """
        expected, survives = 0.0, 1.0  # P(a segment is longer than m steps)
        for m in range(length):
            survives *= 1 - self.hazard(m) if m else 1.0
            starts = 1 + (length - 1 - m) / self.mean_length
            expected += 1 - (1 - survives) ** starts
        return expected
