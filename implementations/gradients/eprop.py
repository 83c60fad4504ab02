"""e-prop: eligibility traces through each unit's own memory, times the error at its own output.

The trace runs through the state that a unit keeps by itself (an LSTM's cell, a leak) and never
through a recurrent weight; the learning signal is dLₜ/dhₜ (symmetric feedback). On a leaky network
it is RFLO, random feedback apart.

Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein and Maass (2020), A solution to the
learning dilemma for recurrent networks of spiking neurons; RFLO: Murray (2019), Local online
learning in recurrent networks with random feedback.
Time: O(P) a step and sequence. Memory: O(P) a sequence, flat in T.
It cannot credit anything that travels through a recurrent weight.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from harness import online, trace
from harness.contract import (
    Batch,
    Cell,
    Claim,
    Cost,
    GatedCell,
    Gradient,
    GradientMethod,
    Hook,
    Local,
    Shape,
)
from harness.model import Model


@dataclass
class EProp(GradientMethod):
    """Local traces with symmetric feedback."""

    hooked = False

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact where units do not see one another, or there is but one step."""
        return "exact" if trace.alone(cell) or length == 1 else "biased"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell whose units cannot be told apart."""
        return trace.refusal(model.cell)

    def cost(self, shape: Shape) -> Cost:
        """Return the trace's cost: its update is no matrix product, its use is one."""
        return Cost(
            flops=shape.forward_flops + 2 * shape.readout_flops + trace.credit_flops(shape),
            kept_bytes=online.kept_bytes(shape, trace.numbers(shape)),
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> trace.Carried:
        """Return the zero state, which nothing has influenced."""
        return trace.begin(model.cell, model.initial_state(batch_size))

    def gradient(
        self, model: Model, window: Batch, carry: trace.Carried, hook: Hook | None = None
    ) -> tuple[Gradient, trace.Carried]:
        """Return Σₜ qₜ Eₜ."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        step = partial(trace.step, model.cell, memory)
        return online.follow(
            model.at_output, window, carry, step, partial(trace.credit, model.cell)
        )


def memory(cell: GatedCell, local: Local) -> Tensor:
    """Return D without the map of h: what a unit keeps by itself."""
    return local.by_state
