"""Full BPTT that keeps the state every `segment` steps and runs each segment again backwards.

Source: Chen, Xu, Zhang and Guestrin (2016), Training deep nets with sublinear memory cost; for
recurrent networks Gruslys et al. (2016), Memory-efficient backpropagation through time.
Time: one more forward pass, about 4/3 of full BPTT. Memory: T/segment states and the activations of
one segment, least at segment ≈ √T.
It cannot start learning before the sequence ends.
"""

from dataclasses import dataclass

import torch

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
from harness.drive import add, windows
from harness.model import Model, detach


@dataclass(frozen=True, slots=True)
class Later:
    """What the later segments gave."""

    gradient: Gradient | None  # of their losses; None before the first of them
    message: State  # dL/ds at their beginning


@dataclass
class Checkpointed(GradientMethod):
    """Exact gradients from one kept state a segment."""

    segment: int = 32

    def __post_init__(self) -> None:
        if self.segment < 1:
            raise ValueError(f"segment must be at least 1 step, not {self.segment}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: only activations are dropped, no gradient is."""
        return "exact"

    def cost(self, shape: Shape) -> Cost:
        """Return one more forward pass, and the memory of states and one segment."""
        segments = -(-shape.length // self.segment)
        share = min(self.segment, shape.length) / shape.length
        activation_bytes = shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes
        sum_bytes = shape.parameters * shape.item_bytes  # of the segments' gradients so far
        return Cost(
            flops=2 * shape.forward_flops + shape.backward_flops - shape.readout_flops,
            kept_bytes=share * activation_bytes + (segments + 1) * shape.state_bytes + sum_bytes,
            sequential_depth=3 * shape.length,
        )

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the gradient, last segment first."""
        segments = list(windows(window, self.segment))
        states: list[State] = [carry]
        with torch.no_grad():
            for segment in segments:
                states.append(model.roll(segment.inputs, states[-1])[1])
        last = detach(states.pop())
        later = Later(None, tuple(torch.zeros_like(part) for part in last))
        while segments:
            later = back(model, segments.pop(), states.pop(), later, hook)
        assert later.gradient is not None, "a window has at least one step"
        return later.gradient, last


def back(model: Model, segment: Batch, start: State, later: Later, hook: Hook | None) -> Later:
    """Return what has come back to the beginning of `segment`."""
    leaves = tuple(part.detach().requires_grad_() for part in start)
    hidden, end = model.roll(segment.inputs, leaves, segment.start, hook)
    loss = model.loss(hidden, segment.targets, segment.weights)
    named = dict(model.named_parameters())
    grads = torch.autograd.grad(
        [loss, *end],
        [*leaves, *named.values()],
        [torch.ones_like(loss), *later.message],
        materialize_grads=True,
    )
    own = dict(zip(named, grads[len(leaves) :], strict=True))
    return Later(add(later.gradient, Gradient(loss.detach(), own)), grads[: len(leaves)])
