"""What a cell promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from harness.contract.data import State


class Cell(nn.Module, ABC):
    """One recurrent step. A plugin's parameters are the keyword-only arguments of `__init__`."""

    parts: ClassVar[int] = 1  # tensors in the state
    gates: ClassVar[int] = 1  # weight blocks, each (H, I) and, where units mix, (H, H)
    fused: ClassVar[bool] = False  # `unroll` is a faster path than `advance` step by step
    saved_step: ClassVar[float] = 1.0  # (B, H) tensors that autograd keeps for one `advance`
    saved_fused: ClassVar[float] = 1.0  # the least that a fused kernel has to keep for one step

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    @abstractmethod
    def advance(self, x: Float[Tensor, "B I"], state: State) -> State:
        """Return the state after one step."""

    def unroll(self, inputs: Float[Tensor, "T B I"], state: State) -> tuple[Tensor, State]:
        """Return every step's output, (T, B, H), and the last state, by a fused kernel."""
        raise RuntimeError(f"{type(self).__name__} has no fused kernel; see Cell.fused")


@dataclass(frozen=True, slots=True)
class Affine:
    """The names, within a cell, of the parameters of one affine map."""

    weight: str  # (kH, I) or (kH, H)
    bias: str | None  # (kH,)


@dataclass(frozen=True, slots=True)
class Local:
    """The derivatives of a gated step, unit by unit, with any leading sizes.

    Axes: p the part of the new state, q the part of the old one, k the gate block, n the unit's own
    parameter, H the unit. With a = W_x x + b_x and u = W_h h + b_h:

        dsₚ = Σₖ (by_inputₚₖ daₖ + by_hiddenₚₖ duₖ) + Σ_q by_stateₚ_q ds_q + Σₙ by_ownₚₙ dθₙ
    """

    by_input: Float[Tensor, "*N p k H"]
    by_hidden: Float[Tensor, "*N p k H"] | None  # None: the step has no map of h
    by_state: Float[Tensor, "*N p q H"]  # a and u held fixed
    by_own: Float[Tensor, "*N p n H"] | None = None  # None: no parameters of the units' own


class GatedCell(Cell):
    """A cell whose step is two affine maps, and then works unit by unit.

    With a = W_x x + b_x and u = W_h h + b_h, k gate blocks of H units each, unit i of the new state
    depends on entry i of each block of a and u and on unit i of the old state: s' = gate(a, u, s).
    Whatever needs a step's Jacobian in parts (time-batched backward passes, eligibility traces,
    Newton's method over time) works for every such cell.
    """

    input_map: ClassVar[Affine]
    hidden_map: ClassVar[Affine | None]  # None: units do not see one another
    own: ClassVar[tuple[str, ...]] = ()  # names of (H,) parameters that gate itself uses
    summed: ClassVar[bool] = False  # a and u act through a + u alone: by_hidden is by_input
    linear: ClassVar[bool] = False  # the new state is affine in the old one, whatever x is

    @abstractmethod
    def gate(
        self, a: Float[Tensor, "*N kH"], u: Float[Tensor, "*N kH"] | None, state: State
    ) -> State:
        """Return the state after one step."""

    @abstractmethod
    def local(
        self, a: Float[Tensor, "*N kH"], u: Float[Tensor, "*N kH"] | None, state: State
    ) -> Local:
        """Return the derivatives of `gate` at the old state `state`."""

    def from_input(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N kH"]:
        """Return a = W_x x + b_x."""
        return self._apply_map(self.input_map, x)

    def from_hidden(self, h: Float[Tensor, "*N H"]) -> Float[Tensor, "*N kH"] | None:
        """Return u = W_h h + b_h; None where the step has no such map."""
        return None if self.hidden_map is None else self._apply_map(self.hidden_map, h)

    def advance(self, x: Float[Tensor, "B I"], state: State) -> State:
        """Return the state after one step."""
        return self.gate(self.from_input(x), self.from_hidden(state[0]), state)

    def _apply_map(self, affine: Affine, value: Tensor) -> Tensor:
        # Not get_parameter, which refuses the plain tensors that functional_call puts there.
        bias = None if affine.bias is None else attrgetter(affine.bias)(self)
        return nn.functional.linear(value, attrgetter(affine.weight)(self), bias)
