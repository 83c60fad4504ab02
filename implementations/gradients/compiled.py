"""Full BPTT by hand, its loops over time in C++: a step is one product and one pass over the units.

What `time_batched` does, for the three cells whose step is written in compiled.cpp, in place: gates
are overwritten by their activations, and those by dL/du. Built by the first trial that needs it.

Source: Appleyard, Kocisky and Blunsom (2016), Optimizing performance of recurrent neural networks
on GPUs; fused element-wise steps as in cuDNN and Haste.
Time: full BPTT's products and little else. Memory: O(T); of a step h is kept, and 4 (GRU) or 5
(LSTM) more tensors (B, H).
It cannot take another cell or device, nor run where there is no C++ compiler.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor

from harness import gated
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
from harness.model import Model
from implementations.cells.elman import Elman
from implementations.cells.gru import GRU
from implementations.cells.lstm import LSTM
from implementations.gradients import _build

SOURCE = Path(__file__).with_suffix(".cpp")
DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True, slots=True)
class Layout:
    """How compiled.cpp wants a cell's gates, and what it makes of them."""

    name: str  # of the operators
    blocks: int  # gates kept a step, (B, H) each; none where a turns into h, and dL/dh into dL/da
    gates: Callable[[GatedCell, Tensor, Tensor], Tensor]  # (cell, inputs, hidden) -> (T, B, ...)
    behind: Callable[[Tensor], gated.Behind]  # from what the backward loop leaves
    shift: int = 0  # by how many blocks the rows of dL/da come before their place


@dataclass
class Compiled(GradientMethod):
    """The whole sequence by fused steps."""

    def claim(self, length: int, cell: Cell) -> Claim:
        """Return exact: the order of the sums alone is changed."""
        return "exact"

    def supports(self, model: Model) -> str | None:
        """Return a reason for a cell, device or machine that compiled.cpp is not for."""
        weight = model.readout.weight
        if type(model.cell) not in LAYOUTS:
            return f"{type(model.cell).__name__} has no fused step in compiled.cpp"
        if weight.device.type != "cpu" or weight.dtype not in DTYPES:
            return f"its steps are for float32 and float64 on a CPU, not {weight.dtype} elsewhere"
        if _build.compiler() is None:
            return "there is no C++ compiler: install g++, or set CXX to one"
        return None

    def cost(self, shape: Shape) -> Cost:
        """Return full BPTT's products; of a step h is kept, the gates, and c where there is one."""
        [blocks] = [each.blocks for cell, each in LAYOUTS.items() if cell.gates == shape.gates]
        kept = (blocks + shape.parts - 1) * shape.states * shape.item_bytes
        return Cost(
            flops=shape.forward_flops + shape.backward_flops,
            kept_bytes=kept + shape.loss_bytes + shape.state_bytes,
            sequential_depth=2 * shape.length,
            backward_bytes=shape.loss_bytes + shape.weight_bytes,
        )

    @torch.no_grad()
    def gradient(
        self, model: Model, window: Batch, carry: State, hook: Hook | None = None
    ) -> tuple[Gradient, State]:
        """Return the gradient by one loop forward and one back."""
        cell = model.cell
        assert isinstance(cell, GatedCell), "supports says so"
        assert cell.hidden_map is not None, "no cell in LAYOUTS is without"
        layout, weight = LAYOUTS[type(cell)], cell.get_parameter(cell.hidden_map.weight)
        forward, backward = operators(layout)
        hidden, *memory = (begun(part, len(window)) for part in carry)  # (T + 1, B, H) each
        gates = layout.gates(cell, window.inputs, hidden)
        forward(gates, hidden, memory, weight)
        output, errors = model.at_output(hidden[1:], window.targets, window.weights)
        errors = errors.contiguous()
        gates = gates if layout.blocks else errors
        later = [torch.zeros_like(part) for part in carry[1:]]  # dL/dc, from the later steps
        back = partial(backward, gates, hidden, memory, weight, errors, later)
        if hook is None:
            back(0, len(window))
        else:
            through_hook(window, errors, later, hook, back)
        behind = layout.behind(gates)
        found = gated.parameter_gradients(cell, window.inputs, hidden[:-1], behind)
        for name in (cell.input_map.weight, cell.input_map.bias) if layout.shift else ():
            rows = found[f"cell.{name}"]
            found[f"cell.{name}"] = torch.roll(rows, -layout.shift * cell.hidden_size, 0)
        last = tuple(part[-1].clone() for part in (hidden, *memory))
        return Gradient(output.loss, {**found, **output.params}), last


def operators(layout: Layout) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return the two loops over time, built where this machine has none yet."""
    _build.load(SOURCE)
    name = layout.name
    return attrgetter(f"{name}_forward", f"{name}_backward")(torch.ops.bptt_bench)


def begun(part: Tensor, length: int) -> Tensor:
    """Return room for every step's value of a part of the state, after its first one."""
    room = part.new_empty(length + 1, *part.shape)  # (T + 1, B, H)
    room[0] = part
    return room


def through_hook(
    window: Batch, errors: Tensor, later: list[Tensor], hook: Hook, back: Callable[[int, int], None]
) -> None:
    """Run the backward loop a step at a time; what `hook` returns travels on."""
    for t in reversed(range(len(window))):
        message = (errors[t], *later)
        changed = hook(window.start + t, tuple(part.clone() for part in message))
        for part, value in zip(message, changed, strict=True):
            part.copy_(value)
        back(t, t + 1)


def maps(cell: GatedCell) -> tuple[Tensor, Tensor, Tensor]:
    """Return W_x, b_x and b_h."""
    assert cell.input_map.bias is not None, "torch's modules have both"
    assert cell.hidden_map is not None, "torch's modules have both"
    assert cell.hidden_map.bias is not None, "torch's modules have both"
    names = (cell.input_map.weight, cell.input_map.bias, cell.hidden_map.bias)
    weight, by_input, by_hidden = (cell.get_parameter(name) for name in names)
    return weight, by_input, by_hidden


def elman_gates(cell: GatedCell, inputs: Tensor, hidden: Tensor) -> Tensor:
    """Return a where h is going to be."""
    weight, by_input, by_hidden = maps(cell)
    flat = hidden[1:].flatten(0, 1)
    torch.addmm(by_input + by_hidden, inputs.flatten(0, 1), weight.T, out=flat)
    return hidden[1:]


def lstm_gates(cell: GatedCell, inputs: Tensor, hidden: Tensor) -> Tensor:
    """Return a with both biases; h has only to be added."""
    weight, by_input, by_hidden = maps(cell)
    flat = torch.addmm(by_input + by_hidden, inputs.flatten(0, 1), weight.T)
    return flat.view(*inputs.shape[:2], -1)


def gru_gates(cell: GatedCell, inputs: Tensor, hidden: Tensor) -> Tensor:
    """Return a_n, a_r and a_z, then u_n, so that what awaits W_h h lies side by side."""
    weight, by_input, by_hidden = maps(cell)
    units = cell.hidden_size
    bias = by_input.clone()
    bias[: 2 * units] += by_hidden[: 2 * units]
    gates = inputs.new_empty(*inputs.shape[:2], 4 * units)
    flat = gates.flatten(0, 1)  # (T B, 4H)
    n_first = partial(torch.roll, shifts=units, dims=0)  # torch's order is r, z, n
    torch.addmm(n_first(bias), inputs.flatten(0, 1), n_first(weight).T, out=flat[:, : 3 * units])
    flat[:, 3 * units :] = by_hidden[2 * units :]
    return gates


def same_behind(gates: Tensor) -> gated.Behind:
    """Return dL/da, which is dL/du."""
    return gated.Behind(gates, gates, (), None)


def gru_behind(gates: Tensor) -> gated.Behind:
    """Return dL/da, n first, and dL/du, n last."""
    units = gates.shape[-1] // 4
    return gated.Behind(gates[..., : 3 * units], gates[..., units:], (), None)


LAYOUTS: dict[type[Cell], Layout] = {
    Elman: Layout("elman", 0, elman_gates, same_behind),
    GRU: Layout("gru", 4, gru_gates, gru_behind, shift=1),
    LSTM: Layout("lstm", 4, lstm_gates, same_behind),
}
