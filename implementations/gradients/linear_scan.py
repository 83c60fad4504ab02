"""Full BPTT of a cell that is linear in its state, forward and backward by one scan each.

Where gates read the input alone, sₜ = Aₜ sₜ₋₁ + bₜ with Aₜ and bₜ known for all of time: the states
are an associative scan, and so are the adjoints, of Aᵀ the other way. Nothing is iterated.

Source: Martin and Cundy (2018), Parallelizing linear recurrent neural nets over sequence length;
so are the LRU of Orvieto et al. (2023) and the minGRU of Feng et al. (2024) trained.
Time: full BPTT's products, all batched over time, and O(T H) beside them, 4 log₂ T steps one after
another for a chunk, which is as long as still stays in a processor's caches. Memory: O(T), the
states, and some dozen tensors of a chunk.
It cannot take a cell whose gates read its state, nor show dL/ds to a hook.
"""

from dataclasses import dataclass

import torch

from harness import scan
from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    GatedCell,
    Gradient,
    GradientMethod,
    Hook,
    Shape,
    State,
)
from harness.drive import windows
from harness.model import Model
from implementations.gradients import _parallel as parallel


@dataclass
class LinearScan(GradientMethod):
    """Chunks of time at once, with no guess; `chunk` is how many steps one has at most."""

    hooked = False
    chunk: int = 256  # what a chunk works on stays in a CPU's caches at B H of some thousand

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"chunk must be at least 1 step, not {self.chunk}")

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: the order of the products alone is changed."""
        return "exact"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell that is not linear in its state."""
        cell = model.cell
        if isinstance(cell, GatedCell) and cell.linear and cell.hidden_map is None:
            return None
        return f"{type(cell).__name__} is not linear in its state; `deer` takes cells that are not"

    def cost(self, shape: Shape) -> Cost:
        """Return full BPTT's products, with W_x x twice."""
        chunks = parallel.cut(shape.length, self.chunk)
        return Cost(
            flops=shape.forward_flops - shape.readout_flops + parallel.along_flops(shape),
            kept_bytes=parallel.kept_bytes(shape),
            sequential_depth=2 * sum(map(scan.depth, chunks)),
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient by a scan forward and one back."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        cell = model.cell
        assert isinstance(cell, GatedCell), "supports says so"
        states = states_of(cell, window, carry, self.chunk)
        return parallel.gradient_along(model, window, states, parallel.adjoints_within, self.chunk)


def states_of(cell: GatedCell, window: Batch, carry: State, chunk: int) -> State:
    """Return the states, (T + 1, B, H) a part, found for `chunk` steps at once."""
    found = [tuple(part.unsqueeze(0) for part in carry)]
    for steps in windows(window, chunk):
        found.append(after(cell, steps, tuple(part[-1] for part in found[-1])))
    return tuple(map(torch.cat, zip(*found, strict=True)))


def after(cell: GatedCell, steps: Batch, carry: State) -> State:
    """Return the state after each step: A is the derivative by s, b what becomes of 0."""
    a = cell.from_input(steps.inputs)
    zero = tuple(part.new_zeros(()).expand(len(a), *part.shape) for part in carry)
    offsets = torch.stack(cell.gate(a, None, zero), -2)  # (T, B, p, H)
    by_state = cell.local(a, None, zero).by_state  # (T, B, p, p, H)
    found: State = scan.unit_scan(by_state, offsets, torch.stack(carry, -2)).unbind(-2)
    return found
