"""The exact gradient in float64 by plain autograd: slow, obvious, independent of every plugin.

The adjoints δₜ = dL/dsₜ are taken at a boundary through which all parts of the state pass
together, so that an LSTM's dL/dcₜ does not count the path through hₜ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Batch, Gradient, State
from harness.model import Model

Rectangle = tuple[int, int, int]  # (first, last, back): see GradientMethod.keeps


@dataclass(frozen=True, slots=True)
class Unrolled:
    """One graph of the whole sequence: the state after each step, and each step's loss."""

    states: list[State]
    losses: list[Tensor]

    def adjoints(self, first: int, last: int, back: int) -> list[State]:
        """Return d(losses of steps first to last)/ds_t for t = back to last − 1."""
        if back == last:
            return []
        parts = [part for state in self.states[back:last] for part in state]
        loss = torch.stack(self.losses[first:last]).sum()
        grads = torch.autograd.grad(loss, parts, retain_graph=True, materialize_grads=True)
        width = len(self.states[0])
        return [grads[i : i + width] for i in range(0, len(grads), width)]


def unroll(model: Model, batch: Batch) -> Unrolled:
    """Return the sequence's graph from the zero state."""
    state = model.initial_state(batch.inputs.shape[1])
    states, losses = [], []
    for x, target, weight in zip(batch.inputs, batch.targets, batch.weights, strict=True):
        state = tuple(part.view_as(part) for part in model.advance(x, state))
        states.append(state)
        losses.append(model.loss(state[0], target, weight))
    return Unrolled(states, losses)


def exact_gradient(model: Model, batch: Batch) -> Gradient:
    """Return the gradient of the whole sequence's loss."""
    return model.gradient_of(torch.stack(unroll(model, batch).losses).sum())


def kept_gradient(model: Model, batch: Batch, rectangles: Sequence[Rectangle]) -> Gradient:
    """Return the part of the exact gradient that `rectangles` keep (GradientMethod.keeps).

    For each rectangle the adjoints δₜ of its losses are taken back to step `back` in the graph of
    the whole sequence; then one vector-Jacobian product of every single step turns the summed
    adjoints into a parameter gradient: g = Σₜ (∂sₜ/∂θ)ᵀ δₜ with sₜ₋₁ held fixed.
    """
    graph = unroll(model, batch)
    summed = [tuple(torch.zeros_like(part) for part in state) for state in graph.states]
    terms = []
    for first, last, back in rectangles:
        for t, adjoint in enumerate(graph.adjoints(first, last, back), back):
            summed[t] = tuple(a + b for a, b in zip(summed[t], adjoint, strict=True))
        hidden = torch.stack([state[0].detach() for state in graph.states[first:last]])
        terms.append(model.loss(hidden, batch.targets[first:last], batch.weights[first:last]))
    loss = torch.stack(terms).sum().detach()
    terms += _step_terms(model, batch, graph, summed)
    return Gradient(loss, model.gradient_of(torch.stack(terms).sum()).params)


def lag_gradients(model: Model, batch: Batch, lags: Sequence[int]) -> list[Gradient]:
    """Return the terms of the exact gradient by lag: those below lags[0], then up to lags[1], ...

    Lag j holds the influence of the parameters used at step s − j on the loss of step s. The sum of
    the first i pieces is the gradient truncated after lags[i − 1] lags; the losses mean nothing.
    """
    graph, length = unroll(model, batch), len(batch)
    piece_of = [next(i for i, lag in enumerate(lags) if j < lag) for j in range(lags[-1])]
    summed = [[tuple(map(torch.zeros_like, state)) for state in graph.states] for _ in lags]
    for s in range(length):
        back = max(0, s + 1 - lags[-1])
        for t, adjoint in enumerate(graph.adjoints(s, s + 1, back), back):
            into = summed[piece_of[s - t]]
            into[t] = tuple(a + b for a, b in zip(into[t], adjoint, strict=True))
    terms = [_step_terms(model, batch, graph, piece) for piece in summed]
    hidden = torch.stack([state[0].detach() for state in graph.states])
    terms[0].append(model.loss(hidden, batch.targets, batch.weights))  # the readout sees no lag
    return [model.gradient_of(torch.stack(piece).sum()) for piece in terms]


def lag_norms(model: Model, batch: Batch) -> Tensor:
    """Return the norm of dL_s/ds_{s-k} for every lag k and sequence, (lags, B).

    L_s is the loss of the last step that has any weight, so that the profile reaches as far back as
    the sequence does. The norm is over all parts of the state.
    """
    graph = unroll(model, batch)
    last = int(batch.weights.sum(1).nonzero().max()) + 1
    adjoints = graph.adjoints(last - 1, last, 0)
    norms = [torch.linalg.vector_norm(torch.cat(parts, 1), dim=1) for parts in adjoints]
    return torch.stack(norms).flip(0)


def _step_terms(
    model: Model, batch: Batch, graph: Unrolled, adjoints: Sequence[State]
) -> list[Tensor]:
    """Return δₜᵀ sₜ for every step, whose gradient is (∂sₜ/∂θ)ᵀ δₜ with sₜ₋₁ held fixed."""
    terms, before = [], model.initial_state(batch.inputs.shape[1])
    for x, state, adjoint in zip(batch.inputs, graph.states, adjoints, strict=True):
        after = model.advance(x, before)
        terms += [(a * b).sum() for a, b in zip(after, adjoint, strict=True)]
        before = tuple(part.detach() for part in state)
    return terms
