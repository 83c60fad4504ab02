"""Cells whose state is affine in the one before, against their papers' formulas in plain loops."""

import math

import pytest
import torch
from problems import batch_of, gradient_by, relative_error
from rigs import rig_of
from torch import Tensor, nn

from harness.check.probe import Probe
from harness.contract import Batch, GatedCell
from harness.measure import memory
from harness.model import Model
from harness.trial import Choice
from implementations.cells.lru import LRU
from implementations.cells.mingru import MinGRU
from implementations.cells.minlstm import MinLSTM
from implementations.gradients.eprop import EProp
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.snap1 import SnAp1

CELLS: dict[str, type[GatedCell]] = {"lru": LRU, "mingru": MinGRU, "minlstm": MinLSTM}
ROUNDING = 1e-14


def model_of(cell: str, hidden_size: int = 5) -> Model:
    torch.manual_seed(1)
    return Model(CELLS[cell](3, hidden_size), Probe()).double()


@torch.no_grad()
def outputs_of(model: Model, inputs: Tensor) -> Tensor:
    return model.roll(inputs, model.initial_state(inputs.shape[1]))[0]


def g(value: float) -> float:
    return value + 0.5 if value >= 0 else 1 / (1 + math.exp(-value))


def sigma(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def rows(cell: nn.Module, x: Tensor) -> list[list[float]]:
    """Return W x + b by hand, a list of H numbers for each block."""
    weight, bias = cell.input.weight.tolist(), cell.input.bias.tolist()
    a = [sum(w * v for w, v in zip(row, x.tolist(), strict=True)) for row in weight]
    a = [product + b for product, b in zip(a, bias, strict=True)]
    units = cell.hidden_size
    return [a[first : first + units] for first in range(0, len(a), units)]


def mingru_in_plain_numbers(cell: nn.Module, inputs: Tensor) -> list[list[float]]:
    h, found = [0.0] * cell.hidden_size, []
    for x in inputs:
        a_z, a_g = rows(cell, x)
        z = [sigma(a) for a in a_z]
        h = [(1 - z[i]) * h[i] + z[i] * g(a_g[i]) for i in range(len(h))]
        found.append(h)
    return found


def minlstm_in_plain_numbers(cell: nn.Module, inputs: Tensor) -> list[list[float]]:
    h, found = [0.0] * cell.hidden_size, []
    for x in inputs:
        a_f, a_i, a_g = rows(cell, x)
        f, i = [sigma(a) for a in a_f], [sigma(a) for a in a_i]
        h = [f[n] / (f[n] + i[n]) * h[n] + i[n] / (f[n] + i[n]) * g(a_g[n]) for n in range(len(h))]
        found.append(h)
    return found


def lru_in_complex_numbers(cell: nn.Module, inputs: Tensor) -> list[list[float]]:
    nu, phi, gamma = (getattr(cell, name).exp().tolist() for name in cell.own)
    weight = cell.input.weight.tolist()
    units = cell.hidden_size
    h, found = [0j] * units, []
    for x in inputs.tolist():
        for n in range(units):
            into = [complex(weight[n][j], weight[units + n][j]) * x[j] for j in range(len(x))]
            turn = math.e ** complex(-nu[n], phi[n])
            h[n] = turn * h[n] + gamma[n] * sum(into)
        found.append([value.real for value in h])
    return found


PLAIN = {
    "lru": lru_in_complex_numbers,
    "mingru": mingru_in_plain_numbers,
    "minlstm": minlstm_in_plain_numbers,
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_its_paper_s_formula(cell: str) -> None:
    model, inputs = model_of(cell), batch_of(9, 1).inputs
    want = torch.tensor(PLAIN[cell](model.cell, inputs[:, 0]), dtype=torch.float64)
    torch.testing.assert_close(outputs_of(model, inputs)[:, 0], want, rtol=1e-13, atol=1e-14)
    other = torch.tensor(PLAIN[cell](model.cell, inputs[1:, 0]), dtype=torch.float64)
    assert not torch.allclose(outputs_of(model, inputs)[1:, 0], other, atol=1e-3)  # h counts


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_is_affine_in_the_one_before(cell: str) -> None:
    model, x = model_of(cell), batch_of(1).inputs[0]
    states = [tuple(torch.randn_like(part) for part in model.initial_state(2)) for _ in range(2)]
    middle = tuple((one + other) / 2 for one, other in zip(*states, strict=True))
    one, other, between = (model.advance(x, state) for state in (*states, middle))
    for a, b, c in zip(one, other, between, strict=True):
        torch.testing.assert_close((a + b) / 2, c, rtol=1e-13, atol=1e-14)
    assert not torch.allclose(one[0], other[0], atol=1e-2)


def heinsen(model: Model, inputs: Tensor) -> Tensor:
    """Return minGRU's outputs from log-space sums: log h = A + logcumsumexp(log z g − A)."""
    a_z, a_g = model.cell.from_input(inputs).chunk(2, -1)
    summed = nn.functional.logsigmoid(-a_z).cumsum(0)  # A
    candidate = torch.tensor([g(value) for value in a_g.flatten().tolist()], dtype=a_g.dtype)
    logs = nn.functional.logsigmoid(a_z) + candidate.view_as(a_g).log()
    return (summed + (logs - summed).logcumsumexp(0)).exp()


@torch.no_grad()
def test_mingru_is_heinsen_s_sum_of_logarithms() -> None:
    model, inputs = model_of("mingru"), batch_of(50).inputs
    want = outputs_of(model, inputs)
    torch.testing.assert_close(heinsen(model, inputs), want, rtol=2e-14, atol=0)
    late = heinsen(model, inputs[1:])  # without the first step
    assert not torch.allclose(late, want[1:], rtol=1e-3)


def test_minlstm_s_gates_sum_to_one_where_both_all_but_vanish() -> None:
    cell = MinLSTM(1, 1).double()
    a = torch.tensor([-800.0, -801.0, 0.0], dtype=torch.float64)  # σ of both is 0 in float64
    state = (torch.ones(1, dtype=torch.float64),)
    share = sigma(-1.0)
    torch.testing.assert_close(cell.gate(a, None, state)[0].item(), 1 - share + share * 0.5)
    assert cell.local(a, None, state).by_input.isfinite().all()


class Doubling(Probe):
    """One input, one output, half the squared error, as in the LRU's worked example."""

    input_size = output_size = 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return 0.5 * (output - target).square().sum(-1)


def worked_example() -> tuple[Model, Batch]:
    """Return a unit with λ = ½, γ = 1, B = 2 + 2i, and inputs 1, 2, 3; targets are 1."""
    model = Model(LRU(1, 1), Doubling()).double()
    values = {"log_decay": math.log(math.log(2)), "log_phase": -1e8, "log_scale": 0.0}
    with torch.no_grad():
        for name, value in values.items():
            model.cell.get_parameter(name).fill_(value)
        model.cell.input.weight.fill_(2.0)
        model.readout.weight.fill_(1.0)
        model.readout.bias.zero_()
    inputs = torch.arange(1.0, 4.0, dtype=torch.float64).view(3, 1, 1)
    return model, Batch(inputs, torch.ones_like(inputs), torch.ones(3, 1, dtype=torch.float64))


@pytest.mark.parametrize("method", [FullBPTT, SnAp1, EProp])
def test_lru_s_traces_give_what_its_authors_worked_out_by_hand(method: type) -> None:
    """h = 2 + 2i, 5 + 5i, 8.5 + 8.5i, and traces by λ 0, 2 + 2i, 6 + 6i; by B 1, 2.5, 4.25.

    Source: Zucchet et al. (2023), Online learning of long-range dependencies: the example in their
    code's test of LRU, here with C = 1, so that dL/dh = Re h − 1 = 1, 4, 7.5.
    """
    model, batch = worked_example()
    assert outputs_of(model, batch.inputs).flatten().tolist() == pytest.approx([2, 5, 8.5])
    found = gradient_by(method(), model, batch)
    assert found["cell.input.weight"].flatten().tolist() == pytest.approx([42.875, 0])
    assert found["cell.log_scale"].item() == pytest.approx(85.75)
    by_modulus = 4 * 2 + 7.5 * 6  # d|λ| = −λ log 2 dν
    assert found["cell.log_decay"].item() == pytest.approx(-by_modulus * 0.5 * math.log(2))


@pytest.mark.parametrize("method", [SnAp1, EProp])
@pytest.mark.parametrize("cell", CELLS)
def test_traces_are_exact_where_units_do_not_see_one_another(cell: str, method: type) -> None:
    model = model_of(cell)
    for length, batch_size in ((1, 1), (2, 3), (19, 2)):
        assert method().claim(length, model.cell) == "exact"
        batch = batch_of(length, batch_size)
        exact = gradient_by(FullBPTT(), model, batch)
        assert relative_error(gradient_by(method(), model, batch), exact) < ROUNDING
    assert relative_error(gradient_by(method(), model, batch_of(19, 2, seed=3)), exact) > 1e-2


def test_lru_begins_on_the_ring_that_is_asked_for() -> None:
    torch.manual_seed(0)
    cell = LRU(1, 4000, least_modulus=0.5, most_modulus=0.9, most_phase=1.0)
    real, imaginary = cell.multiplier()
    modulus = torch.hypot(real, imaginary)
    assert 0.5 <= modulus.min() < 0.51
    assert 0.89 < modulus.max() <= 0.9
    inner = float((modulus.square() < (0.25 + 0.81) / 2).float().mean())
    assert inner == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(4000))  # even over the area
    assert 0.99 < torch.atan2(imaginary, real).max() <= 1.0
    steady = cell.log_scale.exp().square() / (1 - modulus.square())  # E|h|² / E|Bx|² of noise
    torch.testing.assert_close(steady, torch.ones_like(steady), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"least_modulus": 0.9, "most_modulus": 0.9}, "rising, from 0 to 1"),
        ({"most_modulus": 1.1}, "rising, from 0 to 1"),
        ({"most_phase": 7.0}, "at most 2π, not 7.0"),
    ],
    ids=str,
)
def test_a_ring_that_is_none_is_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LRU(3, 5, **given)


def test_biases_of_gates_begin_where_they_are_asked_to() -> None:
    def gates(kind: type[GatedCell], **given: float) -> Tensor:
        torch.manual_seed(0)
        return kind(3, 5, **given).get_parameter("input.bias")

    moved = gates(MinGRU, update_bias=-2.0) - gates(MinGRU)
    assert moved.tolist() == pytest.approx([-2.0] * 5 + [0.0] * 5)
    moved = gates(MinLSTM, forget_bias=3.0) - gates(MinLSTM)
    assert moved.tolist() == pytest.approx([3.0] * 5 + [0.0] * 10, abs=1e-6)


@pytest.mark.parametrize("method", ["full_bptt", "time_batched"])
@pytest.mark.parametrize("cell", CELLS)
def test_what_a_step_keeps_is_what_the_cell_says(cell: str, method: str) -> None:
    sizes = {"cell": Choice(cell), "hidden_size": 16, "batch_size": 32, "sequence_length": 48}
    values = memory.measure(rig_of("memory", method, **sizes))
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.03)
