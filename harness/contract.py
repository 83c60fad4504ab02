"""What a plugin promises: the four kinds of plugin, and the data that passes between them.

Tensor letters: T time, B batch, I input, H hidden, S state, O output; time comes first. The
weights of a whole sequence sum to 1, so losses and gradients of windows add up to those of the
sequence, however it is cut.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

if TYPE_CHECKING:
    from harness.model import Model

State = tuple[Tensor, ...]  # what a cell carries from step to step: (B, H) each, output first
Carry = Any  # what goes from window to window: each method's own business
# (t, dL/ds_t) -> what travels on, of the same shapes; t < 0 is a step of the sequence before
Hook = Callable[[int, State], State]
Gradients = dict[str, Tensor]  # parameter name -> dL/d(parameter), shaped as the parameter
Split = Literal["train", "valid"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive steps of B sequences: a whole sequence, or one window of it.

    `start` is the index, within the sequence, of the first step held here.
    """

    inputs: Float[Tensor, "T B I"]
    targets: Shaped[Tensor, "T B ..."]
    weights: Float[Tensor, "T B"]
    start: int = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, first: int, last: int) -> Batch:
        """Return steps `first` to `last` (excluded), counted from the first step held here."""
        cut = slice(first, last)
        return Batch(self.inputs[cut], self.targets[cut], self.weights[cut], self.start + first)

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """Return the batch on `device` with its real numbers in `dtype`; indices stay integers.

        Weights keep at least float32: in bfloat16 they would no longer sum to 1.
        """
        targets = self.targets.to(device)
        if targets.is_floating_point():
            targets = targets.to(dtype)
        return Batch(
            self.inputs.to(device, dtype),
            targets,
            self.weights.to(device, torch.promote_types(dtype, torch.float32)),
            self.start,
        )


@dataclass(frozen=True, slots=True)
class Gradient:
    """What one window gave: its share of the loss, and that share's gradient."""

    loss: Tensor  # scalar
    params: Gradients


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that a cost depends on."""

    length: int  # T
    batch_size: int  # B
    input_size: int  # I
    hidden_size: int  # H
    output_size: int  # O
    gates: int  # weight blocks stacked in the cell: Elman 1, GRU 3, LSTM 4
    parts: int  # tensors in the state
    saved_step: float  # (B, H) tensors that autograd keeps for one step of the cell
    saved_fused: float  # the least that a fused kernel has to keep for one step
    parameters: int  # P
    item_bytes: int  # bytes of one number

    @property
    def states(self) -> int:
        """Return how many numbers one (T, B, H) tensor holds."""
        return self.length * self.batch_size * self.hidden_size

    @property
    def state_bytes(self) -> float:
        """Return the bytes of one state: a (B, H) tensor for each part."""
        return float(self.parts * self.batch_size * self.hidden_size * self.item_bytes)

    @property
    def readout_flops(self) -> float:
        """Return the FLOPs of the readout of every step, forward: 2HO a step."""
        return 2.0 * self.states * self.output_size

    @property
    def forward_flops(self) -> float:
        """Return the FLOPs of the forward pass's matrix products: 2kH(I + H) + 2HO a step."""
        per_step = self.gates * (self.input_size + self.hidden_size) + self.output_size
        return 2.0 * self.states * per_step

    @property
    def backward_flops(self) -> float:
        """Return those of the backward pass: twice the forward's, less dL/dx, which none needs."""
        return 2.0 * self.forward_flops - 2.0 * self.states * self.gates * self.input_size

    @property
    def loss_bytes(self) -> float:
        """Return what the loss of every step keeps: the stacked outputs and one (T, B, O) tensor.

        The (T, B, O) tensor is the softmax of a cross entropy or the residual of a square.
        """
        predictions = self.length * self.batch_size * self.output_size
        return float(self.item_bytes) * (self.states + predictions)


@dataclass(frozen=True, slots=True)
class Cost:
    """What theory says a method needs for one sequence, as drawn beside the measurements."""

    flops: float  # multiply and add counted as 2, matrix products only
    kept_bytes: float  # held for the backward pass when it begins, parameters and batch apart
    sequential_depth: int  # steps that must follow one another, forward and backward


class GradientMethod(ABC):
    """A way to get the gradient of a sequence's loss, window by window.

    It owns its mathematics and nothing else: weights, data, optimizer, seeds, device and clocks
    belong to the harness. A plugin is a dataclass whose fields are its parameters.
    """

    stride: int | None = None  # steps per window; None: the whole sequence at once
    hooked: ClassVar[bool] = True  # lets a hook see, and change, dL/ds_t

    def exact(self, length: int) -> bool:
        """Return whether the gradient equals full BPTT's over one fresh sequence of `length` steps.

        Up to rounding; what a stateful task carries over from an earlier sequence does not count.
        """
        return False

    def supports(self, model: Model) -> str | None:
        """Return why `model` cannot be trained this way, in one sentence; None if it can."""
        return None

    def cost(self, shape: Shape) -> Cost | None:
        """Return the theory's cost of one sequence; None where no formula is known."""
        return None

    def keeps(self, length: int) -> list[tuple[int, int, int]] | None:
        """Return the terms this method keeps, by its own definition, as a list of rectangles.

        A rectangle (first, last, back) keeps, for every loss step `first <= s < last`, the
        influence of the parameters used at steps `back <= r <= s`. Together they say which part
        of the exact gradient a truncated method computes. None: not defined by such terms.
        """
        return [(0, length, 0)] if self.exact(length) else None

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carry:
        """Return the carry before the first window: by default the zero state."""
        return model.initial_state(batch_size)

    @abstractmethod
    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        """Return the window's gradient and the carry for the next window, free of any graph."""


class Clip:
    """A change made to gradients before the optimizer sees them; the identity by default."""

    uses_hidden: bool = False  # needs a method that is `hooked`

    def hidden(self, t: int, grads: State) -> State:
        """Return what travels on in place of dL/ds_t, one (B, H) tensor per part of the state."""
        return grads

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return what the optimizer gets in place of `grads`; neither argument is changed."""
        return grads


class Cell(nn.Module, ABC):
    """One recurrent step. A plugin's parameters are the keyword-only arguments of `__init__`."""

    parts: ClassVar[int] = 1  # tensors in the state
    gates: ClassVar[int] = 1  # weight blocks, each (H, H) and (H, I)
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
class Draw:
    """Which batch of a task is wanted; the same draw gives the same batch."""

    length: int  # T
    batch_size: int  # B
    index: int = 0  # batches of a stateful task continue one another in this order
    split: Split = "train"


@dataclass(frozen=True, slots=True)
class Trivial:
    """The score of the best predictor that learns nothing, and how it is computed."""

    score: float
    formula: str


class Task(ABC):
    """What is to be learned. A plugin is a dataclass whose fields are its parameters."""

    packs: ClassVar[tuple[str, ...]] = ()  # data packs that it reads (harness/data.py)
    stateful: ClassVar[bool] = False  # batch `index + 1` continues batch `index`
    score_name: ClassVar[str]  # with its unit, as an axis label: "bits per character"
    score_better: ClassVar[Literal["lower", "higher"]]

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Return I."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Return O."""

    def refuses(self, draw: Draw) -> str | None:
        """Return why such a batch cannot be had, in one sentence; None if it can."""
        return None

    @abstractmethod
    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        """Return the batch on the CPU in float32; `generator` is its only source of chance."""

    @abstractmethod
    def loss(
        self, output: Float[Tensor, "*N O"], target: Shaped[Tensor, "*M"]
    ) -> Float[Tensor, "*N"]:
        """Return each prediction's loss."""

    @abstractmethod
    def score(self, outputs: Float[Tensor, "T B O"], batch: Batch) -> float:
        """Return the figure people know this task by."""

    @abstractmethod
    def trivial(self, length: int) -> Trivial:
        """Return the score that needs no learning, for sequences of `length` steps."""

    @abstractmethod
    def solved(self, length: int) -> float:
        """Return the score from which on the task counts as solved."""
