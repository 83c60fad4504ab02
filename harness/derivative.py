"""The derivatives of one step of any cell, each sequence for itself: what online methods carry.

A sequence's state is one row here: all parts joined, S = parts · H numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, jvp, vjp, vmap

from harness.contract import Cell, Gradients, State

Advance = Callable[[Mapping[str, Tensor], Tensor, Tensor], Tensor]  # weights, x, state -> state


class Step(nn.Module):
    """`advance` as `forward`, the one method that `functional_call` gives other weights to."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, *parts: Tensor) -> State:
        """Return the state after one step."""
        after: State = self.cell.advance(x, parts)
        return after


def weights(cell: Cell) -> Gradients:
    """Return the cell's parameters without their history, named as the model names them."""
    return {f"cell.{name}": weight.detach() for name, weight in cell.named_parameters()}


def join(state: State) -> Float[Tensor, "B S"]:
    """Return all parts of the state side by side."""
    return torch.cat(state, 1)


def split(cell: Cell, joined: Float[Tensor, "B S"]) -> State:
    """Return the parts of a joined state."""
    parts: State = torch.split(joined, cell.hidden_size, 1)
    return parts


def jacobian(
    cell: Cell, x: Float[Tensor, "B I"], state: Float[Tensor, "B S"]
) -> Float[Tensor, "B S S"]:
    """Return Jₜ = ∂sₜ/∂sₜ₋₁."""
    found: Tensor = vmap(jacrev(_alone(cell), 2), (None, 0, 0))(weights(cell), x, state)
    return found


def influence(cell: Cell, x: Float[Tensor, "B I"], state: Float[Tensor, "B S"]) -> Gradients:
    """Return Iₜ = ∂sₜ/∂θ with sₜ₋₁ held fixed: (B, S, ...) for each parameter of the cell."""
    found: Gradients = vmap(jacrev(_alone(cell), 0), (None, 0, 0))(weights(cell), x, state)
    return found


def push(
    cell: Cell,
    x: Float[Tensor, "B I"],
    state: Float[Tensor, "B S"],
    tangent: Float[Tensor, "B S"],
) -> tuple[Tensor, Tensor]:
    """Return the next state and Jₜ · tangent, (B, S) each, by one forward-mode pass."""
    step = Step(cell)

    def advance(joined: Tensor) -> Tensor:
        return join(step(x, *split(cell, joined)))

    found: tuple[Tensor, Tensor] = jvp(advance, (state,), (tangent,))  # type: ignore[assignment]
    return found


def pull(
    cell: Cell,
    x: Float[Tensor, "B I"],
    state: Float[Tensor, "B S"],
    cotangent: Float[Tensor, "B S"],
) -> tuple[Gradients, Tensor]:
    """Return cotangentᵀ Iₜ, (B, ...) for each parameter, and cotangentᵀ Jₜ, (B, S)."""
    advance, own = _alone(cell), weights(cell)

    def one(x: Tensor, state: Tensor, cotangent: Tensor) -> tuple[Gradients, Tensor]:
        back = vjp(lambda weights, state: advance(weights, x, state), own, state)[1]
        grads: tuple[Gradients, Tensor] = back(cotangent)
        return grads

    found: tuple[Gradients, Tensor] = vmap(one)(x, state, cotangent)
    return found


def _alone(cell: Cell) -> Advance:
    """Return the step of a single sequence: weights, x (I,) and state (S,) to state (S,)."""
    step = Step(cell)

    def advance(weights: Mapping[str, Tensor], x: Tensor, state: Tensor) -> Tensor:
        parts = split(cell, state.unsqueeze(0))
        after: State = functional_call(step, dict(weights), (x.unsqueeze(0), *parts))
        return join(after).squeeze(0)

    return advance
