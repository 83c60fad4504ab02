"""Real-time recurrent learning: the whole influence of every parameter, carried forward.

Mₜ = Jₜ Mₜ₋₁ + Iₜ with M = ∂sₜ/∂θ, and g = Σₜ Mₜᵀ qₜ with qₜ = ∂Lₜ/∂sₜ.

Source: Williams and Zipser (1989), A learning algorithm for continually running fully recurrent
neural networks.
Time: O(S² P) a step and sequence, S = parts · H. Memory: O(S P) a sequence, flat in T.
It cannot be had cheaply: the trace alone outweighs full BPTT's memory up to T ≈ P.
"""

from dataclasses import dataclass

import torch

from harness import derivative
from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    Gradient,
    GradientMethod,
    Gradients,
    Hook,
    Shape,
    State,
)
from harness.drive import add
from harness.model import Model

Carried = tuple[State, Gradients]  # the state; its influence, (B, S, ...) for each parameter


@dataclass
class RTRL(GradientMethod):
    """Exact gradients, forward in time, for any cell."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact while parameters stand still."""
        return "exact"

    def cost(self, shape: Shape) -> Cost:
        """Return the influence's own products, and its two copies; the step's are beside it."""
        state = shape.parts * shape.hidden_size
        weights = shape.gates * shape.hidden_size * (shape.input_size + shape.hidden_size + 2)
        trace = shape.batch_size * state * weights
        return Cost(
            flops=2.0 * shape.length * trace * state,
            kept_bytes=2.0 * trace * shape.item_bytes,
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state, which nothing has influenced."""
        state = model.initial_state(batch_size)
        size = derivative.join(state).shape[1]
        own = derivative.weights(model.cell)
        none = {name: w.new_zeros(batch_size, size, *w.shape) for name, w in own.items()}
        return state, none

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return the gradient as it stands after the window's last step."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        state, trace = carry
        total: Gradient | None = None
        for x, target, weight in zip(window.inputs, window.targets, window.weights, strict=True):
            before = derivative.join(state)
            jacobian = derivative.jacobian(model.cell, x, before)  # (B, S, S)
            trace = {
                name: torch.bmm(jacobian, trace[name].flatten(2)).view_as(immediate) + immediate
                for name, immediate in derivative.influence(model.cell, x, before).items()
            }
            state = model.advance(x, state)
            output, error = model.at_output(state[0], target, weight)  # error: (B, H)
            width = error.shape[1]
            cell = {
                name: torch.tensordot(error, influence[:, :width], 2)
                for name, influence in trace.items()
            }
            total = add(total, Gradient(output.loss, {**cell, **output.params}))
        assert total is not None, "a window has at least one step"
        return total, (state, trace)
