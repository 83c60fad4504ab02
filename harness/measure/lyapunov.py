"""The largest Lyapunov exponent: whether what two states differ by grows or dies out, a step.

λ₁ = 1/T Σₜ ln ‖Jₜ vₜ₋₁‖, with vₜ = Jₜ vₜ₋₁ / ‖Jₜ vₜ₋₁‖: one Jacobian-vector product a step along
the sequence's own states, over all parts of the state. Above 0 gradients explode in the long run,
below they vanish; unlike a lag profile it needs no loss. The first quarter of the steps only turns
the random first direction into the one that grows most, and is left out.

Source: Benettin, Galgani, Giorgilli and Strelcyn (1980), Lyapunov characteristic exponents for
smooth dynamical systems; Engelken, Wolf and Abbott (2023), Lyapunov spectra of chaotic recurrent
neural networks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import jvp

from harness.contract import Batch, State
from harness.model import Model

TURNING = 4  # one step in so many, at the beginning, is left out
QUARTILES = (0.25, 0.5, 0.75)


def lyapunov(model: Model, batch: Batch, generator: torch.Generator) -> dict[str, Any] | None:
    """Return the largest exponent, in nats a step: median and quartiles over the batch.

    None where it is not finite: a state left the numbers, or a Jacobian is 0.
    """
    growth = growths(model, batch, generator)[len(batch) // TURNING :].mean(0)  # (B,)
    if not growth.isfinite().all():
        return None
    lower, middle, upper = growth.quantile(growth.new_tensor(QUARTILES)).tolist()
    return {"lower": lower, "median": middle, "upper": upper}


@torch.no_grad()
def growths(model: Model, batch: Batch, generator: torch.Generator) -> Tensor:
    """Return ln ‖Jₜ vₜ₋₁‖ of every step and sequence, (T, B), from a random first direction."""
    state = model.initial_state(batch.inputs.shape[1])
    drawn = (torch.randn(part.shape, generator=generator) for part in state)
    tangent, _ = _unit(tuple(one.to(part) for one, part in zip(drawn, state, strict=True)))
    found = []
    for x in batch.inputs:
        state, moved = _pushed(model, x, state, tangent)
        tangent, norm = _unit(moved)
        found.append(norm.log())
    return torch.stack(found)


def _pushed(model: Model, x: Tensor, state: State, tangent: State) -> tuple[State, State]:
    """Return the state after a step, and Jₜ times the tangent."""

    def step(*before: Tensor) -> State:
        return model.advance(x, before)

    found = jvp(step, state, tangent)
    return found[0], found[1]


def _unit(tangent: State) -> tuple[State, Tensor]:
    """Return the tangent of each sequence at length 1, and what its length was, (B,)."""
    norm = torch.linalg.vector_norm(torch.cat(tangent, 1), dim=1)
    return tuple(part / norm.unsqueeze(1) for part in tangent), norm
