"""Does a cell keep its promises: its derivative by finite differences, its kernel by its step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.check.finding import SEED, TOLERANCE, Finding, finding
from harness.check.probe import HIDDEN_SIZE, INPUT_SIZE
from harness.contract import Cell, State
from harness.registry import Registry
from harness.trial import Choice


def check_cell(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a cell's step against finite differences, and its fused kernel against its step."""
    torch.manual_seed(SEED)
    cell = registry.build("cells", choice, INPUT_SIZE, HIDDEN_SIZE)
    cell = cell.double()
    for length, batch_size in ((1, 1), (6, 2)):
        place = f"T={length} B={batch_size}"
        inputs = torch.randn(length, batch_size, INPUT_SIZE, dtype=torch.float64)
        zero = torch.zeros(batch_size, HIDDEN_SIZE, dtype=torch.float64)
        state: State = (zero,) * cell.parts
        step = cell.advance(inputs[0], state)
        shapes = [tuple(part.shape) for part in step]
        same = shapes == [(batch_size, HIDDEN_SIZE)] * cell.parts
        yield finding(choice, "a state is `parts` tensors of (B, H)", place, same, f"{shapes}")
        right = _derivative_is_right(cell, inputs[0], step)
        yield finding(choice, "its derivative is right", place, right, "gradcheck disagrees")
        if cell.fused:
            yield _fused_finding(choice, cell, inputs, state, place)


class _Step(nn.Module):
    """`advance` as `forward`, the one method that `functional_call` gives other weights to."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, *parts: Tensor) -> State:
        """Return the state after one step."""
        return self.cell.advance(x, parts)


def _derivative_is_right(cell: Cell, x: Tensor, state: State) -> bool:
    """Return whether finite differences agree: with respect to input, state and every weight."""
    step = _Step(cell)
    named = dict(step.named_parameters())

    def advance(*free: Tensor) -> State:
        weights = dict(zip(named, free, strict=False))  # they come first
        after: State = functional_call(step, weights, free[len(named) :])
        return after

    free = [tensor.detach().clone().requires_grad_() for tensor in (*named.values(), x, *state)]
    return torch.autograd.gradcheck(advance, free, raise_exception=False)


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
