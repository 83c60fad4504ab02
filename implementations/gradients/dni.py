"""Synthetic gradients: truncated BPTT whose windows end in a guess of the message from later ones.

At a window's end ŝ(s) = A [s; 1] stands for dL_later/ds. The next window brings the message that
should have come, with its own guess in it, and A takes one step towards it. A begins at 0, where
this is truncated BPTT, and lives as long as the trial. The last state of a sequence is learned to
get 0 once a fresh sequence begins.

Source: Jaderberg, Czarnecki, Osindero, Vinyals, Graves, Silver and Kavukcuoglu (2017), Decoupled
neural interfaces using synthetic gradients; A learns by normalised least mean squares (Widrow and
Hoff 1960; Nagumo and Noda 1967), whose step knows no scale: a message shrinks with T and B.
Time: as truncated BPTT, and O(S²) a window, S = parts · H. Memory: O(stride) steps and S² numbers.
It cannot be right before A is, nor where the message is not linear in the state; and it does not
know the sequence's end when it reaches it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness import derivative
from harness.contract import Batch, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape, State
from harness.model import Model, detach


@dataclass
class Synthetic:
    """A linear guess of dL_later/ds from s."""

    weight: Tensor  # A (S, S + 1)
    rate: float

    def guess(self, cell: Cell, state: State) -> State:
        """Return A [s; 1]."""
        return derivative.split(cell, features(state) @ self.weight.T)

    def learn(self, cell: Cell, state: State, message: State) -> None:
        """Move A towards what should have been guessed: A ← A + μ Σ (message − guess) fᵀ / Σ f²."""
        seen = features(state)
        missing = derivative.join(message) - seen @ self.weight.T  # (B, S)
        self.weight += self.rate / seen.square().sum() * missing.T @ seen


def features(state: State) -> Tensor:
    """Return f = [s; 1], (B, S + 1)."""
    joined = derivative.join(state)
    return torch.cat([joined, joined.new_ones(len(joined), 1)], 1)


@dataclass
class DNI(GradientMethod):
    """Windows of `stride` steps that do not wait for one another; A learns at `rate` (μ)."""

    stride: int = 16
    rate: float = 0.3  # well below 2, so that noise in the messages is averaged out

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1 step, not {self.stride}")
        if not 0 <= self.rate < 2:
            raise ValueError(f"rate must be from 0 to below 2, where it is stable, not {self.rate}")
        self.synthetic: Synthetic | None = None
        self.awaiting: State | None = None  # a state whose message has not come yet

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where one window holds the sequence: A has then met nothing but 0."""
        return "exact" if self.stride >= length else "biased"

    def cost(self, shape: Shape) -> Cost:
        """Return the work of truncated BPTT with the guesses', and the memory of a window."""
        size = shape.parts * shape.hidden_size
        windows = -(-shape.length // self.stride)
        products = 3 * windows * 2.0 * shape.batch_size * size * (size + 1)  # a guess, and learning
        share = min(self.stride, shape.length) / shape.length
        steps = shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes
        return Cost(
            flops=shape.forward_flops + shape.backward_flops + products,
            kept_bytes=share * steps + 3 * shape.state_bytes,  # the first, the last, its message
            sequential_depth=2 * shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> State:
        """Return the zero state; nothing comes back to the end of the sequence before."""
        state = model.initial_state(batch_size)
        if self.synthetic is None:
            size = derivative.join(state).shape[1]
            self.synthetic = Synthetic(state[0].new_zeros(size, size + 1), self.rate)
        if self.awaiting is not None:
            nothing = tuple(map(torch.zeros_like, self.awaiting))
            self.synthetic.learn(model.cell, self.awaiting, nothing)
            self.awaiting = None
        return state

    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient of the window's losses and of the guess at its end."""
        assert self.synthetic is not None, "begin comes first"
        leaves = tuple(part.detach().requires_grad_() for part in carry)
        hidden, last = model.roll(window.inputs, leaves, window.start, hook)
        loss, end = model.loss(hidden, window.targets, window.weights), detach(last)
        named = dict(model.named_parameters())
        grads = torch.autograd.grad(
            [loss, *last],
            [*leaves, *named.values()],
            [torch.ones_like(loss), *self.synthetic.guess(model.cell, end)],
            materialize_grads=True,
        )
        message, own = grads[: len(leaves)], grads[len(leaves) :]
        if self.awaiting is not None:
            self.synthetic.learn(model.cell, self.awaiting, message)
        self.awaiting = end
        return Gradient(loss.detach(), dict(zip(named, own, strict=True))), end
