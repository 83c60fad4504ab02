"""Full BPTT that keeps the state every `segment` steps and runs each segment again backwards.

Source: Chen, Xu, Zhang and Guestrin (2016), Training deep nets with sublinear memory cost; for
recurrent networks Gruslys et al. (2016), Memory-efficient backpropagation through time.
Time: one more forward pass, about 4/3 of full BPTT. Memory: T/segment states and the activations of
one segment, least at segment ≈ √T.
It cannot start learning before the sequence ends.
"""

from dataclasses import dataclass

import torch

from harness.contract import Batch, Carry, Cost, Gradient, GradientMethod, Hook, Shape, State
from harness.drive import windows
from harness.model import Model, detach


@dataclass
class Checkpointed(GradientMethod):
    """Exact gradients from one kept state a segment."""

    segment: int = 32

    def __post_init__(self) -> None:
        if self.segment < 1:
            raise ValueError(f"segment must be at least 1 step, not {self.segment}")

    def exact(self, length: int) -> bool:
        """Return True: only activations are dropped, no gradient is."""
        return True

    def cost(self, shape: Shape) -> Cost:
        """Return one more forward pass, and the memory of states and one segment."""
        segments = -(-shape.length // self.segment)
        share = min(self.segment, shape.length) / shape.length
        state_bytes = shape.parts * shape.batch_size * shape.hidden_size * shape.item_bytes
        activation_bytes = shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes
        return Cost(
            flops=2 * shape.forward_flops + shape.backward_flops,
            kept_bytes=share * activation_bytes + segments * state_bytes,
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
        message = tuple(torch.zeros_like(part) for part in last)  # dL/ds at the segment's end
        losses, named = [], dict(model.named_parameters())
        total = {name: torch.zeros_like(param) for name, param in named.items()}
        while segments:
            segment, start = segments.pop(), states.pop()
            begin = tuple(part.detach().requires_grad_() for part in start)
            hidden, end = model.roll(segment.inputs, begin, segment.start, hook)
            loss = model.loss(hidden, segment.targets, segment.weights)
            grads = torch.autograd.grad(
                [loss, *end], [*begin, *named.values()], [torch.ones_like(loss), *message]
            )
            message, own = grads[: len(begin)], grads[len(begin) :]
            for sum_so_far, grad in zip(total.values(), own, strict=True):
                sum_so_far += grad
            losses.append(loss.detach())
        return Gradient(torch.stack(losses).sum(), total), last
