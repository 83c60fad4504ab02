"""A cell, a readout and the loss of one step: what every gradient method differentiates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from harness.contract import Cell, Gradient, Hook, State, Task


class _Boundary(torch.autograd.Function):
    """The identity at a state boundary: its backward is where a hook sees dL/ds_t.

    A tensor hook on an LSTM's c_t would count the path through h_t as well; here all parts of the
    state pass together, each with its whole gradient.
    """

    @staticmethod
    def forward(ctx: Any, hook: Hook, t: int, *parts: Tensor) -> State:  # Any: torch's own context
        ctx.hook, ctx.t = hook, t
        return tuple(part.view_as(part) for part in parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        return None, None, *ctx.hook(ctx.t, grads)


def watch(state: State, t: int, hook: Hook | None) -> State:
    """Return `state`, whose gradient on its way back passes through `hook` first."""
    if hook is None:
        return state
    watched: State = _Boundary.apply(hook, t, *state)  # type: ignore[no-untyped-call]  # torch's
    return watched


def detach(state: State) -> State:
    """Return the state without its history."""
    return tuple(part.detach() for part in state)


class Model(nn.Module):
    """A cell with a linear readout and the task's loss.

    `on_backward`, where set, is called each time a loss made here starts to be differentiated;
    the memory and phase measurements use it, nothing that is timed does.
    """

    def __init__(self, cell: Cell, task: Task) -> None:
        super().__init__()
        self.cell = cell
        self.readout = nn.Linear(cell.hidden_size, task.output_size)
        self.task = task
        self.on_backward: Callable[[], None] | None = None

    def initial_state(self, batch_size: int) -> State:
        """Return the zero state, (B, H) for each part."""
        weight = self.readout.weight
        return tuple(weight.new_zeros(batch_size, weight.shape[1]) for _ in range(self.cell.parts))

    def advance(self, x: Float[Tensor, "B I"], state: State) -> State:
        """Return the state after one step."""
        next_state: State = self.cell.advance(x, state)
        return next_state

    def roll(
        self, inputs: Float[Tensor, "T B I"], state: State, start: int = 0, hook: Hook | None = None
    ) -> tuple[Tensor, State]:
        """Return every step's output, (T, B, H), and the last state, one step after another."""
        outputs = []
        for t, x in enumerate(inputs, start):
            state = watch(self.advance(x, state), t, hook)
            outputs.append(state[0])
        return torch.stack(outputs), state

    def loss(
        self, hidden: Float[Tensor, "*N H"], target: Tensor, weight: Float[Tensor, "*N"]
    ) -> Tensor:
        """Return the weighted sum of the losses of any number of steps and sequences."""
        return self.loss_of(self.readout(hidden), target, weight)

    def loss_of(
        self, output: Float[Tensor, "*N O"], target: Tensor, weight: Float[Tensor, "*N"]
    ) -> Tensor:
        """Return the same of what the readout gave."""
        total = (self.task.loss(output, target) * weight).sum()
        if self.on_backward is not None and total.requires_grad:
            mark = self.on_backward
            total.register_hook(lambda _: mark())  # type: ignore[no-untyped-call]  # torch's
        return total

    def at_output(
        self, hidden: Float[Tensor, "*N H"], target: Tensor, weight: Float[Tensor, "*N"]
    ) -> tuple[Gradient, Tensor]:
        """Return the loss with the readout's gradient alone, and dL/dh, shaped as `hidden`."""
        named = {f"readout.{name}": param for name, param in self.readout.named_parameters()}
        with torch.enable_grad():
            leaf = hidden.detach().requires_grad_()
            # A view: torch's FLOP counter refuses to watch a module whose input is a leaf.
            loss = self.loss(leaf.view_as(leaf), target, weight)
        error, *grads = torch.autograd.grad(loss, [leaf, *named.values()])
        return Gradient(loss.detach(), dict(zip(named, grads, strict=True))), error

    def gradient_of(self, loss: Tensor) -> Gradient:
        """Return the gradient of `loss`, zero for a parameter that it does not depend on."""
        named = dict(self.named_parameters())
        grads = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
        return Gradient(loss.detach(), dict(zip(named, grads, strict=True)))
