"""Real-time recurrent learning: the whole influence of every parameter, carried forward.

Mₜ = Jₜ Mₜ₋₁ + Iₜ with M = ∂sₜ/∂θ, and g = Σₜ Mₜᵀ qₜ with qₜ = ∂Lₜ/∂sₜ.

Source: Williams and Zipser (1989), A learning algorithm for continually running fully recurrent
neural networks.
Time: O(S² P) a step and sequence, S = parts · H; a cell that does not work unit by unit needs its
derivatives by autograd besides. Memory: O(S P) a sequence, flat in T.
It cannot be had cheaply: the trace alone outweighs full BPTT's memory up to T ≈ P.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from harness import derivative, gated, online, trace
from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    GatedCell,
    Gradient,
    GradientMethod,
    Gradients,
    Hook,
    Shape,
    State,
)
from harness.model import Model


@dataclass(frozen=True, slots=True)
class Carried:
    """The state and its influence."""

    state: State
    influence: Gradients  # M: (B, S, ...) for each parameter of the cell


@dataclass
class RTRL(GradientMethod):
    """Exact gradients, forward in time, for any cell."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact while parameters stand still."""
        return "exact"

    def cost(self, shape: Shape) -> Cost:
        """Return J M and the Jacobian of every step, the credit, and the influence, twice."""
        state = shape.parts * shape.hidden_size
        entries = shape.hidden_size * trace.numbers(shape)  # in the influence of all sequences
        return Cost(
            flops=shape.forward_flops
            + 2 * shape.readout_flops
            + shape.length
            * (2.0 * state * entries + shape.batch_size * gated.jacobian_flops(shape))
            + shape.hidden_size * trace.credit_flops(shape),
            kept_bytes=online.kept_bytes(shape, entries),
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, which nothing has influenced."""
        state = model.initial_state(batch_size)
        size = derivative.join(state).shape[1]
        own = derivative.weights(model.cell)
        none = {name: w.new_zeros(batch_size, size, *w.shape) for name, w in own.items()}
        return Carried(state, none)

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return Σₜ Mₜᵀ qₜ."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        return online.follow(model.at_output, window, carry, partial(step, model.cell), credit)


def step(cell: Cell, x: Tensor, carry: Carried) -> Carried:
    """Return state and influence after one step: M ← J M + I."""
    jacobian, immediate, state = derivatives(cell, x, carry.state)
    influence = {
        name: torch.baddbmm(now.flatten(2), jacobian, carry.influence[name].flatten(2)).view_as(now)
        for name, now in immediate.items()
    }
    return Carried(state, influence)


def derivatives(cell: Cell, x: Tensor, state: State) -> tuple[Tensor, Gradients, State]:
    """Return Jₜ, (B, S, S), Iₜ and the state after one step; by autograd where units mix."""
    if isinstance(cell, GatedCell):
        a, u = cell.from_input(x), cell.from_hidden(state[0])
        local = cell.local(a, u, state)
        immediate = trace.influence(cell, local, x, state[0])
        return gated.jacobian(cell, local), immediate, cell.gate(a, u, state)
    joined = derivative.join(state)
    jacobian = derivative.jacobian(cell, x, joined)
    return jacobian, derivative.influence(cell, x, joined), cell.advance(x, state)


def credit(carry: Carried, error: Tensor) -> Gradients:
    """Return Σ_b Mᵀ q."""
    width = error.shape[1]
    return {
        name: torch.tensordot(error, influence[:, :width], 2)
        for name, influence in carry.influence.items()
    }
