"""Lyapunov exponents: whether what two states differ by grows or dies out, a step.

λ₁ = 1/T Σₜ ln ‖Jₜ vₜ₋₁‖, with vₜ = Jₜ vₜ₋₁ / ‖Jₜ vₜ₋₁‖: one Jacobian-vector product a step along
the sequence's own states, over all parts of the state. Above 0 gradients explode in the long run,
below they vanish; unlike a lag profile it needs no loss. Of k directions kept at right angles,
Qₜ Rₜ = Jₜ Qₜ₋₁, the i-th exponent is λᵢ = 1/T Σₜ ln Rₜᵢᵢ; all of them together sum to the mean of
ln |det Jₜ|. The first quarter of the steps only turns the random first directions into those that
grow most, and is left out.

Source: Benettin, Galgani, Giorgilli and Strelcyn (1980), Lyapunov characteristic exponents for
smooth dynamical systems; Shimada and Nagashima (1979), A numerical approach to ergodic problem of
dissipative dynamical systems; Engelken, Wolf and Abbott (2023), Lyapunov spectra of chaotic
recurrent neural networks.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp

from harness.contract import Batch, State
from harness.model import Model

TURNING = 4  # one step in so many, at the beginning, is left out
QUARTILES = {"lower": 0.25, "median": 0.5, "upper": 0.75}


def lyapunov(model: Model, batch: Batch, generator: torch.Generator) -> dict[str, Any] | None:
    """Return the largest exponent, in nats a step: median and quartiles over the batch.

    None where it is not finite: a state left the numbers, or a Jacobian is 0.
    """
    found = spectrum(model, batch, generator, 1)
    largest = {name: values[0] for name, values in found.items()}
    return None if None in largest.values() else largest


def spectrum(
    model: Model, batch: Batch, generator: torch.Generator, count: int
) -> dict[str, list[float | None]]:
    """Return the `count` largest exponents, in nats a step: medians and quartiles over the batch.

    There are no more than the state has numbers. One that is not finite in some sequence is None:
    a Jacobian is 0 in that direction.
    """
    grown = growths(model, batch, generator, count)[len(batch) // TURNING :].mean(0)  # (k, B)
    found = {}
    for name, share in QUARTILES.items():
        values = zip(
            grown.isfinite().all(1).tolist(), grown.quantile(share, 1).tolist(), strict=True
        )
        found[name] = [value if finite else None for finite, value in values]
    return found


@torch.no_grad()
def growths(
    model: Model, batch: Batch, generator: torch.Generator, count: int = 1
) -> Float[Tensor, "T k B"]:
    """Return ln Rₜᵢᵢ of every step, direction and sequence, from random first directions."""
    if batch.inputs.device.type != "cpu":  # the cells that torch fuses on a GPU have no jvp
        model = copy.deepcopy(model).cpu()
        batch = batch.to(torch.device("cpu"), batch.inputs.dtype)
    state = model.initial_state(batch.inputs.shape[1])
    count = min(count, sum(part.shape[1] for part in state))
    drawn = [
        torch.cat([torch.randn(part.shape, generator=generator) for part in state], 1)
        for _ in range(count)  # the first is the same however many follow
    ]
    directions, _ = _at_right_angles(torch.stack(drawn).to(state[0]))
    found = []
    for x in batch.inputs:
        state, moved = _pushed(model, x, state, directions)
        directions, lengths = _at_right_angles(moved)
        found.append(lengths.log())
    return torch.stack(found)


def _pushed(
    model: Model, x: Float[Tensor, "B I"], state: State, directions: Float[Tensor, "k B S"]
) -> tuple[State, Float[Tensor, "k B S"]]:
    """Return the state after a step, and Jₜ times every direction."""
    count, batch_size = directions.shape[:2]

    def step(*before: Tensor) -> State:
        return model.advance(x.repeat(count, 1), before)

    tangent = torch.split(directions.flatten(0, 1), [part.shape[1] for part in state], 1)
    found = jvp(step, tuple(part.repeat(count, 1) for part in state), tangent)
    after, moved = found[0], found[1]
    return tuple(part[:batch_size] for part in after), torch.cat(moved, 1).view_as(directions)


def _at_right_angles(
    directions: Float[Tensor, "k B S"],
) -> tuple[Float[Tensor, "k B S"], Float[Tensor, "k B"]]:
    """Return each sequence's directions at right angles and of length 1, and |Rᵢᵢ|."""
    if len(directions) == 1:  # a GPU factors one matrix after another, for a length alone
        lengths = torch.linalg.vector_norm(directions, dim=2)
        return directions / lengths.unsqueeze(2), lengths
    q, r = torch.linalg.qr(directions.permute(1, 2, 0))  # (B, S, k), (B, k, k)
    return q.permute(2, 0, 1), r.diagonal(dim1=1, dim2=2).abs().T
