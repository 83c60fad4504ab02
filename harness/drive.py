"""The one order of begin, window, hook, clip, update: what is tested is what is timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.contract import Batch, Carry, Clip, Gradient, GradientMethod, Gradients, Hook, State
from harness.model import Model

Update = Literal["window", "sequence"]
# The method's gradient, and what the clips left of it: zeros where they left a gradient out.
Observer = Callable[[Gradient, Gradients], None]


def windows(batch: Batch, stride: int | None) -> Iterator[Batch]:
    """Yield the sequence in windows of `stride` steps, the last one shorter where it must be."""
    step = stride or len(batch)
    if 0 < len(batch) <= step:
        yield batch  # as it is: three slices would cost a short sequence half a percent
        return
    for first in range(0, len(batch), step):
        yield batch.window(first, min(first + step, len(batch)))


def hook_of(clips: Sequence[Clip]) -> Hook | None:
    """Return the hook that applies every clip of hidden gradients in order; None without one."""
    active = [clip for clip in clips if clip.uses_hidden]
    if not active:
        return None

    def hook(t: int, grads: State) -> State:
        for clip in active:
            grads = clip.hidden(t, grads)
        return grads

    return hook


def add(one: Gradient | None, other: Gradient) -> Gradient:
    """Return the sum of two windows' gradients; None counts as zero."""
    if one is None:
        return other
    params = {name: one.params[name] + grad for name, grad in other.params.items()}
    return Gradient(one.loss + other.loss, params)


def filled(left: Gradients, grads: Gradients) -> Gradients:
    """Return what a clip left of `grads`, with zeros for what it left out."""
    return {
        name: left[name] if name in left else torch.zeros_like(grad) for name, grad in grads.items()
    }


@dataclass(frozen=True, slots=True)
class Drive:
    """Takes sequences through a gradient method, the clips and an optimizer.

    Without an optimizer the parameters stay frozen and only `observe` learns of the gradients.
    """

    model: Model
    method: GradientMethod
    clips: Sequence[Clip] = ()
    update: Update = "sequence"
    optimizer: torch.optim.Optimizer | None = None
    observe: Observer | None = None

    def begin(self, batch_size: int, generator: torch.Generator) -> Carry:
        """Return the carry before the first window of a fresh sequence."""
        return self.method.begin(self.model, batch_size, generator)

    def sequence(self, batch: Batch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the sequence's loss, a scalar on its device, and the carry that it leaves."""
        hook = hook_of(self.clips)
        pending: Gradient | None = None
        loss: Tensor | None = None
        for window in windows(batch, self.method.stride):
            for clip in self.clips:
                clip.meet(self.model, window)
            gradient, carry = self.method.gradient(self.model, window, carry, hook)
            loss = gradient.loss if loss is None else loss + gradient.loss
            pending = add(pending, gradient)
            if self.update == "window":
                self.apply(pending)
                pending = None
        if pending is not None:
            self.apply(pending)
        assert loss is not None, "a sequence has at least one step"
        return loss, carry

    def apply(self, gradient: Gradient) -> None:
        """Clip the gradient, show it, then move the parameters by it.

        A parameter whose gradient a clip left out stays where it is, and so does its momentum.
        Where nothing is left there is no update, and the clips that follow are not asked.
        """
        params = dict(self.model.named_parameters())
        grads = gradient.params
        for clip in self.clips:
            if grads:
                grads = clip.params(grads, params)
        if self.observe is not None:
            self.observe(gradient, filled(grads, gradient.params))
        if self.optimizer is not None:
            for name, param in params.items():
                param.grad = grads.get(name)  # None: torch's optimizers skip it
            self.optimizer.step()
