"""Newton's method over time: the states of many steps at once, as the root of sₜ − f(sₜ₋₁, xₜ).

Every step is evaluated at the guess, then the guess moves by d with dₜ = Jₜ dₜ₋₁ + f(sₜ₋₁) − sₜ, an
affine recurrence. Where the guess before a step is right, f gives that step's state: what is right
grows from the beginning by one step an iteration at the least, is kept from then on, and all is
right after T iterations, whatever the recurrence does. Where d overflows, as it may where states
explode or are chaotic, the guess takes the value of f instead.

Source: Lim, Zhu, Selfridge and Kasim (2024), Parallelizing non-linear sequential models over the
sequence length.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Batch, GatedCell, Shape, State
from harness.drive import windows
from implementations.gradients._parallel import Follow, states_with_room

# A state is right where f moves it by less than this many roundings: a product's sum leaves some.
ROUNDINGS = 32
# Iterations by D alone, the last one a check: gru, lstm and elman take 9 to 24 in float32 as they
# begin (bench_parallel), twice that in float64.
UNIT_ITERATIONS = 16


@dataclass(frozen=True, slots=True)
class Solved:
    """The states, and what it took to find them."""

    states: State  # (T + 1, B, H) a part, the one before the first step included
    iterations: int
    evaluated: int  # steps, over all iterations
    followed: int  # steps whose Jacobians were scanned, over all iterations


def solve(cell: GatedCell, a: Tensor, carry: State, follow: Follow) -> Solved:
    """Return the states after the inputs' part `a`, (T, B, kH), from the state `carry`.

    `follow` moves the guess. The first guess is that nothing moves.
    """
    states = states_with_room(carry, len(a))
    known = iterations = evaluated = followed = 0
    while known < len(a):
        iterations, evaluated = iterations + 1, evaluated + len(a) - known
        before = tuple(part[known:-1] for part in states)
        guess = tuple(part[known + 1 :] for part in states)  # a view: what is known is written here
        u = cell.from_hidden(before[0])
        after = torch.stack(cell.gate(a[known:], u, before), -2)  # (T, B, p, H)
        missing = after - torch.stack(guess, -2)
        right = leading(missing, after)
        more = right + 1  # f at a right state is right as well
        known += more
        if known < len(a):
            followed += len(a) - known
            rest = tuple(part[more:] for part in before)
            local = cell.local(a[known:], None if u is None else u[more:], rest)
            step = follow(cell, local, missing[more:], missing[right])
            moved = after[more:] - missing[more:] + step
            after[more:] = torch.where(moved.isfinite(), moved, after[more:])
        for part, value in zip(guess, after[right:].unbind(-2), strict=True):
            part[right:] = value
    return Solved(states, iterations, evaluated, followed)


def states_of(cell: GatedCell, window: Batch, carry: State, follow: Follow, chunk: int) -> State:
    """Return the states, (T + 1, B, H) a part, found for `chunk` steps at once."""
    found = [tuple(part.unsqueeze(0) for part in carry)]
    for steps in windows(window, chunk):
        last = tuple(part[-1] for part in found[-1])
        solved = solve(cell, cell.from_input(steps.inputs), last, follow)
        found.append(tuple(part[1:] for part in solved.states))
    return tuple(map(torch.cat, zip(*found, strict=True)))


def evaluation_flops(shape: Shape, iterations: int) -> float:
    """Return the products W_x x, once, and W_h h, in each iteration of the whole length."""
    by_input = 2.0 * shape.states * shape.gates * shape.input_size
    return by_input + iterations * (shape.forward_flops - shape.readout_flops - by_input)


def leading(missing: Tensor, after: Tensor) -> int:
    """Return how many steps, from the first one on, are right for every sequence and unit."""
    allowed = ROUNDINGS * torch.finfo(after.dtype).eps * (1 + after.abs())
    right = (missing.abs() <= allowed).flatten(1).all(1)  # (T,); NaN is not
    return int(right.cumprod(0).sum())
