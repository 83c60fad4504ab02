"""Truncated BPTT whose depth K follows how fast gradients decay, to a bias of at most `bias`.

From the messages of one step's loss, φₖ = E‖dLₛ/dsₛ₋ₖ‖ and Gₖ = ‖E Σⱼ<ₖ dLₛ/dsₛ₋ⱼ‖, a rate β is
fitted to log φ from lag τ on. What a cut at K drops is at most E(K) = Σₖ≥K φₖ, of which
φ_τ βᴷ⁻τ / (1 − β) lies from τ on. K is the least with E(K) < bias · G_K. Each window of K steps is
then sent back 2K − 1, so that every loss keeps its K lags.

Source: Aicher, Foti and Fox (2019), Adaptively truncating backpropagation through time to control
gradient bias. They bound the bias in units of ‖g‖ ≥ max (Gₖ − E(k)), here it is in units of G_K.
Time: twice truncated BPTT's, and one pass over `longest` steps whenever K is found again.
Memory: O(K), and O(longest) for that pass.
It cannot see beyond `longest`, which K is wherever gradients do not decay.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import linear_regression

import torch
from torch import Tensor

from harness import derivative
from harness.contract import Batch, Cell, Claim, Cost, Gradient, GradientMethod, Hook, Shape, State
from harness.drive import add, windows
from harness.model import Model
from implementations.gradients.truncated_bptt import Past, TruncatedBPTT

Carried = tuple[tuple[Past, State], torch.Generator]


@dataclass
class AdaptiveTruncation(GradientMethod):
    """K found again every so many sequences, from the `longest` steps before one loss."""

    steady = False
    bias: float = 0.1  # relative, of the gradient that is kept
    longest: int = 128
    onset: int = 8  # τ: from this lag on the decay is taken to be geometric
    every: int = 50

    def __post_init__(self) -> None:
        if self.bias <= 0:
            raise ValueError(f"bias must be above 0, not {self.bias}")
        if self.onset < 0:
            raise ValueError(f"onset must be at least lag 0, not {self.onset}")
        if self.longest < self.onset + 2:
            raise ValueError(
                f"longest ({self.longest}) must be at least onset ({self.onset}) + 2 steps: "
                "a decay shows in no fewer"
            )
        if self.every < 1:
            raise ValueError(f"every must be at least 1 sequence, not {self.every}")
        self.sequences = 0  # met so far
        self.truncation = truncation(self.longest)  # until K is found

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where the sequence is too short to show a decay."""
        return "exact" if length < self.onset + 2 else "biased"

    def keeps(self, length: int) -> list[tuple[int, int, int]]:
        """Return the rectangles of K as it was last found."""
        return self.truncation.keeps(length)

    def cost(self, shape: Shape) -> Cost:
        """Return the cost at the K last found, with the share of finding it."""
        own = self.truncation.cost(shape)
        seen = min(self.longest, shape.length)
        pass_flops = shape.forward_flops + shape.backward_flops - 3 * shape.readout_flops
        alone = shape.forward_flops - shape.readout_flops
        before = (shape.length - seen) / 2  # steps to where a pass begins, on average
        sum_bytes = 2 * shape.parameters * shape.item_bytes  # of the window before, and so far
        return replace(
            own,
            flops=own.flops + (pass_flops * seen + alone * before) / shape.length / self.every,
            kept_bytes=own.kept_bytes + sum_bytes,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carried:
        """Return the zero state without a past, and the source of chance."""
        return self.truncation.begin(model, batch_size, generator), generator

    def gradient(
        self, model: Model, window: Batch, carry: Carried, hook: Hook | None = None
    ) -> tuple[Gradient, Carried]:
        """Return the gradient truncated to K, found again first when it is time."""
        carried, generator = carry
        if self.sequences % self.every == 0:
            messages = profile(model, window, carried[1], self.longest, generator)
            self.truncation = truncation(self.depth(messages))
        self.sequences += 1
        total: Gradient | None = None
        for piece in windows(window, self.truncation.stride):
            found, carried = self.truncation.gradient(model, piece, carried, hook)
            total = add(total, found)
        assert total is not None, "a window has at least one step"
        return total, (carried, generator)

    def depth(self, messages: Tensor) -> int:
        """Return K from dL/ds of every lag, (lags, B, S); `longest` where no bound shows."""
        sizes = messages.norm(dim=2).mean(1).tolist()
        sums = messages.mean(1).cumsum(0).norm(dim=1).tolist()
        dropped = bounds(sizes, self.onset)
        enough = (K for K, total in enumerate(sums, 1) if dropped[K] < self.bias * total)
        return next(enough, self.longest)


def truncation(steps: int) -> TruncatedBPTT:
    """Return the truncation that keeps at least `steps` lags of every loss."""
    return TruncatedBPTT(stride=steps, depth=2 * steps - 1)


def bounds(sizes: Sequence[float], onset: int) -> list[float]:
    """Return what a cut at K drops at most, E(K), for K from 0 to as many lags as there are."""
    decaying = [
        (lag, math.log(size)) for lag, size in enumerate(sizes) if lag >= onset and size > 0
    ]
    if len(sizes) < onset + 2:
        return [math.inf] * (len(sizes) + 1)
    slope = (
        linear_regression(*zip(*decaying, strict=True)).slope if len(decaying) > 1 else -math.inf
    )
    if not slope < 0:
        return [math.inf] * (len(sizes) + 1)
    tail = sizes[onset] / (1 - math.exp(slope))
    return [
        sum(sizes[K:onset]) + tail * (math.exp(slope * (K - onset)) if onset < K else 1.0)
        for K in range(len(sizes) + 1)
    ]


def profile(
    model: Model, window: Batch, state: State, longest: int, generator: torch.Generator
) -> Tensor:
    """Return dL/ds of each lag before the loss of one step, (lags, B, S)."""
    last = loss_step(window.weights, longest, generator)
    first = max(0, last + 1 - longest)
    seen: list[Tensor] = []

    def note(t: int, message: State) -> State:
        seen.append(derivative.join(message))
        return message

    with torch.no_grad():
        for x in window.inputs[:first]:
            state = model.advance(x, state)
    hidden, _ = model.roll(window.inputs[first : last + 1], state, first, note)
    model.gradient_of(model.loss(hidden[-1], window.targets[last], window.weights[last]))
    return torch.stack(seen)


def loss_step(weights: Tensor, longest: int, generator: torch.Generator) -> int:
    """Return a step drawn by weight among those with `longest` behind them, else the last of all.

    The last of all that has any weight, where those have none.
    """
    chances = weights.sum(1).double().cpu()  # (T,)
    reach = min(longest, len(chances)) - 1
    if float(chances[reach:].sum()) > 0:
        return reach + int(torch.multinomial(chances[reach:], 1, generator=generator))
    weighted = chances.nonzero()
    return int(weighted.max()) if len(weighted) else len(chances) - 1
