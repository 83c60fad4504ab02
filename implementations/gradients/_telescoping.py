"""Gradients truncated ever later, and weighted sums of them: what the telescoping methods share.

G₁, ..., G_N are gradients by detached chunks of H₁ < ... < H_N steps, each twice the one before and
the last the whole sequence, so that G_N is full BPTT's and G_N = Σₙ Δₙ with Δₙ = Gₙ − Gₙ₋₁. Each
costs one pass over the sequence and the memory of one chunk.
"""

from collections.abc import Mapping, Sequence

import torch

from harness.contract import Batch, Cost, Gradient, Shape, State
from harness.drive import add, windows
from harness.model import Model, detach


def check(shortest: int, ratio: float) -> None:
    """Refuse what gives no horizons, or no chance to every one of them.

    Raises:
        ValueError: a parameter is outside its range.
    """
    if shortest < 1:
        raise ValueError(f"shortest must be at least 1 step, not {shortest}")
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio must be above 0 and at most 1, not {ratio}")


def horizons(shortest: int, length: int) -> list[int]:
    """Return H₁, ..., H_N, the last as long as the sequence."""
    found = [min(shortest, length)]
    while found[-1] < length:
        found.append(min(2 * found[-1], length))
    return found


def draw(chances: Sequence[float], generator: torch.Generator) -> int:
    """Return N = 1, 2, ... with the chances given."""
    weights = torch.tensor(chances, dtype=torch.float64)
    return int(torch.multinomial(weights, 1, generator=generator)) + 1


def chunked(model: Model, window: Batch, state: State, steps: int) -> tuple[Gradient, State]:
    """Return the gradient by detached chunks of `steps`, and the last state."""
    total: Gradient | None = None
    for chunk in windows(window, steps):
        hidden, state = model.roll(chunk.inputs, detach(state))
        total = add(total, model.gradient_of(model.loss(hidden, chunk.targets, chunk.weights)))
    assert total is not None, "a window has at least one step"
    return total, detach(state)


def weighted(
    model: Model, window: Batch, state: State, weights: Mapping[int, float]
) -> tuple[Gradient, State]:
    """Return Σ w G over horizons and their weights, and the last state.

    Every G has the same loss and the readout's whole gradient, which no truncation touches.
    """
    cell = [f"cell.{name}" for name, _ in model.cell.named_parameters()]
    total: Gradient | None = None
    for steps, weight in weights.items():
        found, last = chunked(model, window, state, steps)
        own = {name: weight * found.params[name] for name in cell}
        total = add(total, Gradient(found.loss, own))
    assert total is not None, "there is at least one horizon"
    return Gradient(found.loss, {**found.params, **total.params}), last


def cost(shape: Shape, passes: float, chances: Mapping[int, float]) -> Cost:
    """Return the expected cost of so many passes, the largest by horizon with its chance."""
    expected = sum(chance * steps for steps, chance in chances.items()) / shape.length
    steps = shape.saved_step * shape.states * shape.item_bytes + shape.loss_bytes
    sums = 3 * shape.parameters * shape.item_bytes  # of chunks, the pass before, and of passes
    return Cost(
        flops=passes * (shape.forward_flops + shape.backward_flops),
        kept_bytes=expected * steps + 2 * shape.state_bytes + sums,
        sequential_depth=round(2 * passes * shape.length),
    )
