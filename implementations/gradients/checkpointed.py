"""Full BPTT that keeps the state every `segment` steps and runs each segment again backwards.

Source: Chen, Xu, Zhang and Guestrin (2016), Training deep nets with sublinear memory cost; for
recurrent networks Gruslys et al. (2016), Memory-efficient backpropagation through time.
Time: one more forward pass, about 4/3 of full BPTT. Memory: T/segment states and the activations of
one segment, least at segment ≈ √T, which is the default.
It cannot start learning before the sequence ends.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from harness.contract import (
    Batch,
    Carry,
    Cell,
    Claim,
    Cost,
    Gradient,
    GradientMethod,
    Hook,
    Shape,
    State,
)
from harness.drive import windows
from harness.model import Model, detach


@dataclass(slots=True)
class Later:
    """What the later segments gave, which the segment before them is added to."""

    named: dict[str, Parameter]  # the model's, looked up once
    gradient: Gradient  # of their losses
    message: State  # dL/ds at their beginning


@dataclass
class Checkpointed(GradientMethod):
    """Exact gradients from one kept state a segment."""

    segment: int | None = None  # None: √T, rounded up

    def __post_init__(self) -> None:
        if self.segment is not None and self.segment < 1:
            raise ValueError(f"segment must be at least 1 step, not {self.segment}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: only activations are dropped, no gradient is."""
        return "exact"

    def cost(self, shape: Shape) -> Cost:
        """Return one more forward pass, and the memory of states and one segment."""
        steps = self._steps(shape.length)
        segments = -(-shape.length // steps)
        share = min(steps, shape.length) / shape.length
        activation_bytes = shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes
        return Cost(
            flops=2 * shape.forward_flops + shape.backward_flops - shape.readout_flops,
            kept_bytes=share * activation_bytes
            + (segments + 1) * shape.state_bytes
            + shape.weight_bytes,
            sequential_depth=3 * shape.length,
            # A segment's, and what comes back before it and after.
            backward_bytes=share * shape.loss_bytes + 2 * shape.state_bytes + shape.weight_bytes,
        )

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the gradient, last segment first."""
        segments = list(windows(window, self._steps(len(window))))
        states: list[State] = [carry]
        with torch.no_grad():
            for segment in segments:
                states.append(model.roll(segment.inputs, states[-1])[1])
        last = detach(states.pop())
        later = begun(model, tuple(map(torch.zeros_like, last)))
        while segments:
            replay(model, record(model, segments.pop(), states.pop(), hook), later)
        return later.gradient, last

    def _steps(self, length: int) -> int:
        return math.isqrt(length - 1) + 1 if self.segment is None else self.segment


@dataclass(frozen=True, slots=True)
class Tape:
    """What the backward pass of a segment needs."""

    segment: Batch
    leaves: State  # at its beginning
    hidden: Tensor  # (T, B, H)
    end: State


def record(model: Model, segment: Batch, start: State, hook: Hook | None) -> Tape:
    """Run the segment forward and keep its activations."""
    leaves = tuple(part.detach().requires_grad_() for part in start)
    hidden, end = model.roll(segment.inputs, leaves, segment.start, hook)
    return Tape(segment, leaves, hidden, end)


def replay(model: Model, tape: Tape, later: Later) -> None:
    """Add what comes back to the beginning of the taped segment."""
    loss = model.loss(tape.hidden, tape.segment.targets, tape.segment.weights)
    grads = torch.autograd.grad(
        [loss, *tape.end],
        [*tape.leaves, *later.named.values()],
        [torch.ones_like(loss), *later.message],
        materialize_grads=True,
    )
    first, sums = len(tape.leaves), later.gradient.params
    for name, grad in zip(later.named, grads[first:], strict=True):
        sums[name].add_(grad)
    later.gradient.loss.add_(loss.detach())
    later.message = grads[:first]


def begun(model: Model, message: State) -> Later:
    """Return no sums yet, and `message` as what comes back to the last state."""
    named = dict(model.named_parameters())
    sums = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    return Later(named, Gradient(message[0].new_zeros(()), sums), message)
