"""What theory says a gradient method costs, and the sizes that it depends on."""

from __future__ import annotations

from dataclasses import dataclass


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
    summed: bool = False  # W_x x and W_h h act through their sum alone
    own: int = 0  # parameters of each unit's own, beside the maps'
    mixing: bool = True  # units see one another: a block holds (H, H) weights beside (H, I)

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
        """Return the FLOPs of the forward pass's matrix products: 2kH(I + H) + 2HO a step.

        Where units do not mix, W_h h is missing: 2kHI + 2HO.
        """
        seen = self.input_size + self.hidden_size * self.mixing  # by a unit
        per_step = self.gates * seen + self.output_size
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

    def local_bytes(self, steps: int) -> float:
        """Return what it takes to make the derivatives of so many gated steps at once.

        By gates they are p k tensors (B, H), twice as many where the maps act apart, by states p p.
        Slopes, products and their stacks are alive together, about four times as much; and beside
        them W_h h and the states that they are taken at, k + p tensors.
        """
        maps = 1 if self.summed else 2
        derivatives = self.parts * (maps * self.gates + self.parts)
        tensors = 4 * derivatives + self.gates + self.parts
        return float(tensors * steps * self.batch_size * self.hidden_size * self.item_bytes)

    @property
    def weight_bytes(self) -> float:
        """Return the bytes of all parameters, which a new gradient takes beside the last one."""
        return float(self.parameters * self.item_bytes)


@dataclass(frozen=True, slots=True)
class Cost:
    """What theory says a method needs for one sequence, as drawn beside the measurements."""

    flops: float  # multiply and add counted as 2, matrix products only
    kept_bytes: float  # held for the backward pass when it begins, parameters and batch apart
    sequential_depth: int  # steps that must follow one another, forward and backward
    backward_bytes: float = 0.0  # beside what is kept, when the backward pass holds most
