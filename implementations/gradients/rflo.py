"""RFLO, random feedback local online learning: each unit's own trace, times an error sent back
through fixed random weights.

E ← (1 − a) E + a φ'(·) ⊗ f for a unit hₜ = (1 − a) hₜ₋₁ + a φ(W f), and g = Σₜ (F eₜ) Eₜ, with
eₜ = dLₜ/dyₜ the error at the readout's output. F is drawn once and stays, or is the readout's
transpose ("symmetric"), which makes F eₜ = dLₜ/dhₜ. The readout has its own gradient.

Source: Murray (2019), Local online learning in recurrent networks with random feedback.
Time: O(P) a step and sequence. Memory: O(P) a sequence, flat in T.
It cannot credit anything that travels through a recurrent weight; with random feedback it descends
the loss only as far as the readout comes to agree with F. For units with gates see e-prop, which on
these cells is this rule with symmetric feedback.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

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
class RFLO(GradientMethod):
    """Local traces of units with one sum, and the feedback that errors come by."""

    feedback: Literal["random", "symmetric"] = "random"

    hooked = False

    def __post_init__(self) -> None:
        self.drawn: Tensor | None = None  # F (O, H), the same for the whole trial

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact with symmetric feedback, where no recurrent weight is gone through."""
        whole = trace.alone(cell) or length == 1
        return "exact" if whole and self.feedback == "symmetric" else "biased"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell that is no unit with one sum."""
        cell = model.cell
        if isinstance(cell, GatedCell) and (cell.gates, cell.parts) == (1, 1):
            return None
        return f"{type(cell).__name__} is no unit with one sum, which is what RFLO is a rule for"

    def cost(self, shape: Shape) -> Cost:
        """Return the trace's cost, and the readout forward, F e, and its own gradient."""
        feedback = self.feedback == "random"
        drawn = feedback * shape.output_size * shape.hidden_size * shape.item_bytes
        return Cost(
            flops=shape.forward_flops + 2 * shape.readout_flops + trace.credit_flops(shape),
            kept_bytes=online.kept_bytes(shape, trace.numbers(shape)) + drawn,
            sequential_depth=shape.length,
        )

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> trace.Carried:
        """Return the zero state; the first time in a trial, draw F."""
        if self.drawn is None and self.feedback == "random":
            weight = model.readout.weight
            bound = weight.shape[1] ** -0.5  # as torch's readout begins: the directions differ
            drawn = torch.rand(weight.shape, generator=generator) * 2 - 1
            self.drawn = (bound * drawn).to(weight)
        return trace.begin(model.cell, model.initial_state(batch_size))

    def gradient(
        self, model: Model, window: Batch, carry: trace.Carried, hook: Hook | None = None
    ) -> tuple[Gradient, trace.Carried]:
        """Return Σₜ (F eₜ) Eₜ."""
        assert hook is None, "the harness gives no hook to a method that is not hooked"
        feedback = model.readout.weight if self.drawn is None else self.drawn
        return online.follow(
            partial(at_output, model, feedback),
            window,
            carry,
            partial(trace.step, model.cell, leak),
            partial(trace.credit, model.cell),
        )


def leak(cell: GatedCell, local: Local) -> Tensor:
    """Return 1 − a: what a unit keeps by itself."""
    return local.by_state


def at_output(
    model: Model, feedback: Tensor, hidden: Tensor, target: Tensor, weight: Tensor
) -> tuple[Gradient, Tensor]:
    """Return the loss with the readout's gradient, and F e, (B, H)."""
    output = model.readout(hidden).detach().requires_grad_()
    with torch.enable_grad():
        loss = model.loss_of(output, target, weight)
    (error,) = torch.autograd.grad(loss, output)  # e (B, O)
    readout = {"readout.weight": error.T @ hidden, "readout.bias": error.sum(0)}
    return Gradient(loss.detach(), readout), error @ feedback
