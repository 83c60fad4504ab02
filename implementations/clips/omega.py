"""Pascanu's Ω: pull W_h to where messages neither shrink nor grow from one step to the one before.

Ω = mean over steps and sequences of (‖Jₜᵀ δₜ‖ / ‖δₜ‖ − 1)² with δₜ = dL/dsₜ and Jₜ = ∂sₜ/∂sₜ₋₁, the
norms over all parts of the state. The gradient of W_h gets α dΩ/dW_h, where only the W_h that Jₜ
multiplies by counts: δ, s and the units' own derivatives are held fixed, which leaves
2 (ρ − 1)/ρ · u vᵀ for u = dL/du and v = Jᵀ δ in units of ‖δ‖, and ρ = ‖v‖.

Source: Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks,
whose code leaves out what has ‖δ‖² < 1e-20.
Cost: one more forward pass, and dL/ds of every step at once.
It cannot take a cell whose units do not mix by one map of h; nor is what it gives a gradient of the
loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness import gated
from harness.contract import Batch, Clip, GatedCell, Gradients, State
from harness.model import Model

CHUNK = 16  # steps whose derivatives are had at once: long enough to batch, short enough to hold
FAINT = 1e-20  # ‖δ‖² below which the authors leave a message out


@dataclass(frozen=True, slots=True)
class Term:
    """What some steps add to Ω: sums over them and their sequences."""

    weight: Tensor  # of the derivative of (ρ − 1)² by W_h (kH, H)
    count: Tensor  # of the messages that are not faint


@dataclass(frozen=True, slots=True)
class Met:
    """A window whose messages are on their way."""

    cell: GatedCell
    window: Batch
    before: State  # of every step, (T, B, H) a part
    messages: dict[int, State]  # t -> δₜ


@dataclass
class Omega(Clip):
    """The regulariser, α times its derivative beside the loss's own."""

    uses_hidden = True
    alpha: float = 2.0  # as in the authors' published logs

    def __post_init__(self) -> None:
        if self.alpha < 0:
            raise ValueError(f"alpha must be at least 0, not {self.alpha}")
        self.met: Met | None = None
        self.terms: list[Term] = []  # since the last update
        self.last: State | None = None  # the state after the window met last
        self.name = ""  # of W_h

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell without the one map of h."""
        if isinstance(model.cell, GatedCell) and model.cell.hidden_map is not None:
            return None
        return f"{type(model.cell).__name__} has no recurrent weight between which units mix"

    @torch.no_grad()
    def meet(self, model: Model, window: Batch) -> None:
        """Run the window forward, for the states that its messages pass."""
        self._settle()
        cell = model.cell
        assert isinstance(cell, GatedCell), "supports says so"
        assert cell.hidden_map is not None, "supports says so"
        self.name = f"cell.{cell.hidden_map.weight}"
        fresh = self.last is None or (window.start == 0 and not model.task.stateful)
        state = model.initial_state(window.inputs.shape[1]) if fresh else self.last
        assert state is not None, "a window came before"
        states = [state]
        for a in cell.from_input(window.inputs):
            states.append(cell.gate(a, cell.from_hidden(states[-1][0]), states[-1]))
        self.last = states.pop()
        before = tuple(map(torch.stack, zip(*states, strict=True)))
        self.met = Met(cell, window, before, {})

    def hidden(self, t: int, grads: State) -> State:
        """Note the message of a step of the window met last; it travels on as it is."""
        if self.met is not None and t >= self.met.window.start:
            self.met.messages[t] = grads
        return grads

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient with α dΩ/dW_h beside that of W_h."""
        self._settle()
        terms, self.terms = self.terms, []
        if not terms or self.name not in grads:
            return grads
        count = torch.stack([term.count for term in terms]).sum().clamp(min=1)
        pull = torch.stack([term.weight for term in terms]).sum(0) / count
        return {**grads, self.name: grads[self.name] + self.alpha * pull}

    @torch.no_grad()
    def _settle(self) -> None:
        """Turn the window met last and its messages into terms."""
        met, self.met = self.met, None
        if met is None or not met.messages:
            return
        steps = sorted(met.messages)
        for some in (steps[i : i + CHUNK] for i in range(0, len(steps), CHUNK)):
            at = [t - met.window.start for t in some]
            seen = zip(*(met.messages[t] for t in some), strict=True)  # the parts, each over time
            messages = tuple(torch.stack(part) for part in seen)
            before = tuple(part[at] for part in met.before)
            self.terms.append(term(met.cell, met.window.inputs[at], before, messages))


def term(cell: GatedCell, inputs: Float[Tensor, "T B I"], before: State, messages: State) -> Term:
    """Return what steps with these states before them and messages after them add to Ω."""
    a, u = cell.from_input(inputs), cell.from_hidden(before[0])
    behind = gated.through_units(cell.local(a, u, before), messages)
    passed = gated.through_map(cell, behind)
    assert behind.u is not None, "supports says so"
    size, left = norm(messages), norm(passed)  # (T, B)
    loud = (size.square() >= FAINT) & size.isfinite() & left.isfinite()
    rho = torch.where(loud, left / size, 1.0)
    factor = torch.where(rho > 0, 2 * (rho - 1) / rho, 0.0) / size
    along = kept(loud, factor.unsqueeze(-1) * behind.u)  # (T B, kH)
    across = kept(loud, passed[0] / size.unsqueeze(-1))  # (T B, H)
    return Term(along.T @ across, loud.sum())


def kept(loud: Tensor, rows: Tensor) -> Tensor:
    """Return the rows of all steps and sequences, 0 where a message is left out."""
    return torch.where(loud.unsqueeze(-1), rows, 0.0).flatten(0, 1)


def norm(parts: State) -> Float[Tensor, "T B"]:
    """Return ‖s‖ of every step and sequence."""
    return torch.cat(parts, -1).norm(dim=-1)
