"""Does a cell keep its promises: its derivative by finite differences, its kernel by its step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.func import functional_call

from harness import derivative, gated
from harness.check.finding import SEED, TOLERANCE, Finding, finding
from harness.check.probe import HIDDEN_SIZE, INPUT_SIZE
from harness.contract import Cell, GatedCell, State
from harness.derivative import Step
from harness.registry import Registry
from harness.trial import Choice


def check_cell(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a cell's step against finite differences, and its fused kernel against its step."""
    torch.manual_seed(SEED)
    cell = registry.build("cells", choice, INPUT_SIZE, HIDDEN_SIZE)
    cell = cell.double().requires_grad_(False)  # the checks ask for gradients of their own copies
    for length, batch_size in ((1, 1), (6, 2)):
        place = f"T={length} B={batch_size}"
        inputs = torch.randn(length, batch_size, INPUT_SIZE, dtype=torch.float64)
        zero = torch.zeros(batch_size, HIDDEN_SIZE, dtype=torch.float64)
        state: State = (zero,) * cell.parts
        step = tuple(part.detach() for part in cell.advance(inputs[0], state))
        shapes = [tuple(part.shape) for part in step]
        same = shapes == [(batch_size, HIDDEN_SIZE)] * cell.parts
        yield finding(choice, "a state is `parts` tensors of (B, H)", place, same, f"{shapes}")
        right = _derivative_is_right(cell, inputs[0], step)
        yield finding(choice, "its derivative is right", place, right, "gradcheck disagrees")
        if isinstance(cell, GatedCell):
            yield from _gated_findings(choice, cell, inputs[0], step, place)
        if cell.fused:
            yield _fused_finding(choice, cell, inputs, state, place)


def _derivative_is_right(cell: Cell, x: Tensor, state: State) -> bool:
    """Return whether finite differences agree: with respect to input, state and every weight."""
    step = Step(cell)
    named = dict(step.named_parameters())

    def advance(*free: Tensor) -> State:
        weights = dict(zip(named, free, strict=False))  # they come first
        after: State = functional_call(step, weights, free[len(named) :])
        return after

    free = [tensor.detach().clone().requires_grad_() for tensor in (*named.values(), x, *state)]
    return torch.autograd.gradcheck(advance, free, raise_exception=False)


@torch.no_grad()
def _gated_findings(
    choice: Choice, cell: GatedCell, x: Tensor, state: State, place: str
) -> Iterator[Finding]:
    """Compare the maps, the gate and its derivatives with `advance`, and with autograd of it."""
    a, u = cell.from_input(x), cell.from_hidden(state[0])
    after = zip(cell.gate(a, u, state), cell.advance(x, state), strict=True)
    error = max(float((got - want).abs().max()) for got, want in after)
    said = f"largest difference {error:.2g}"
    yield finding(choice, "gate of the maps equals advance", place, error <= TOLERANCE, said)
    local, joined = cell.local(a, u, state), derivative.join(state)
    jacobian = derivative.jacobian(cell, x, joined)
    error = float((gated.jacobian(cell, local) - jacobian).abs().max())
    message = torch.randn(joined.shape, dtype=joined.dtype)
    behind = gated.through_units(local, derivative.split(cell, message))
    per_sequence, back = derivative.pull(cell, x, joined, message)
    sent = derivative.join(gated.through_map(cell, behind))
    error = max(error, float((sent - back).abs().max()))
    found = gated.parameter_gradients(cell, x, state[0], behind)
    for name, want in per_sequence.items():
        error = max(error, float((found[name] - want.sum(0)).abs().max()))
    said = f"largest difference from autograd {error:.2g}"
    yield finding(choice, "local holds the step's derivatives", place, error <= TOLERANCE, said)


@torch.no_grad()
def _fused_finding(choice: Choice, cell: Cell, inputs: Tensor, state: State, place: str) -> Finding:
    outputs, last = cell.unroll(inputs, state)
    looped = []
    for x in inputs:
        state = cell.advance(x, state)
        looped.append(state[0])
    error = float((outputs - torch.stack(looped)).abs().max())
    error = max(error, *(float((a - b).abs().max()) for a, b in zip(last, state, strict=True)))
    said = f"largest difference {error:.2g}"
    return finding(choice, "unroll equals advance", place, error <= TOLERANCE, said)
