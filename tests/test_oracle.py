"""The oracle against closed forms and brute force: everything else is measured against it."""

from itertools import accumulate

import pytest
import torch
from problems import CELLS, RAGGED, Probe, batch_of, flat, model_of, relative_error
from torch import Tensor

from harness import oracle
from harness.contract import Batch, Cell, State
from harness.drive import add
from harness.model import Model

ROUNDING = 1e-12  # float64, some hundred operations


class Linear(Cell):
    """h_t = w h_{t-1} + x_t, whose gradients are known in closed form."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.w = torch.nn.Parameter(torch.tensor(0.9))

    def advance(self, x: Tensor, state: State) -> State:
        return (self.w * state[0] + x,)


class Half(Probe):
    """Half the squared error of one output."""

    input_size = 1
    output_size = 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return 0.5 * (output - target).square().squeeze(-1)


def linear_problem(length: int) -> tuple[Model, Batch]:
    """Return the scalar linear network with the identity as readout and loss ½(h_T − y)²."""
    model = Model(Linear(), Half()).double()
    with torch.no_grad():
        model.readout.weight.fill_(1.0)
        model.readout.bias.zero_()
    x = torch.linspace(-1, 2, length, dtype=torch.float64).reshape(length, 1, 1)
    weights = torch.zeros(length, 1, dtype=torch.float64)
    weights[-1] = 1.0
    return model, Batch(x, torch.full_like(x, 0.3), weights)


def closed_form(model: Model, batch: Batch, depth: int) -> float:
    """dL/dw cut after `depth` lags: (h_T − y) Σ_{j ≤ depth} w^{j−1} h_{T−j}."""
    w, states, h = model.cell.w.item(), [], 0.0
    for x in batch.inputs.flatten().tolist():
        h = w * h + x
        states.append(h)
    lags = range(1, min(depth, len(states) - 1) + 1)
    return (states[-1] - 0.3) * sum(w ** (j - 1) * states[-1 - j] for j in lags)


def test_the_exact_gradient_of_a_linear_network_is_its_closed_form() -> None:
    model, batch = linear_problem(9)
    got = oracle.exact_gradient(model, batch).params["cell.w"].item()
    assert got == pytest.approx(closed_form(model, batch, 9), rel=ROUNDING)


@pytest.mark.parametrize("depth", [1, 2, 5, 9])
def test_the_kept_part_of_a_linear_network_is_its_partial_sum(depth: int) -> None:
    model, batch = linear_problem(9)
    got = oracle.kept_gradient(model, batch, [(0, 9, 9 - depth)]).params["cell.w"].item()
    # w used `depth` times multiplies h_{T-1} … h_{T-depth}
    assert got == pytest.approx(closed_form(model, batch, depth), rel=ROUNDING)


def finite_difference(model: Model, batch: Batch, name: str, index: int) -> float:
    """The central difference of the loss in one parameter entry."""
    entry, step = dict(model.named_parameters())[name].data.view(-1), 1e-6
    losses = []
    for sign in (1, -1):
        entry[index] += sign * step
        hidden, _ = model.roll(batch.inputs, model.initial_state(batch.inputs.shape[1]))
        losses.append(model.loss(hidden, batch.targets, batch.weights).item())
        entry[index] -= sign * step
    return (losses[0] - losses[1]) / (2 * step)


@pytest.mark.parametrize("cell", CELLS)
def test_the_exact_gradient_agrees_with_finite_differences(cell: str) -> None:
    model, batch = model_of(cell), batch_of(7)
    exact = oracle.exact_gradient(model, batch).params
    for name, grad in exact.items():
        # a central difference in float64 is good to about 1e-9 of a loss near 1
        want = finite_difference(model, batch, name, 0)
        assert grad.view(-1)[0].item() == pytest.approx(want, abs=1e-8)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("length", "batch_size"), RAGGED)
def test_keeping_everything_is_the_exact_gradient(cell: str, length: int, batch_size: int) -> None:
    model, batch = model_of(cell), batch_of(length, batch_size)
    everything = oracle.kept_gradient(model, batch, [(0, length, 0)]).params
    assert relative_error(everything, oracle.exact_gradient(model, batch).params) < ROUNDING


@pytest.mark.parametrize("cell", CELLS)
def test_disjoint_parts_add_up_to_the_exact_gradient(cell: str) -> None:
    model, batch = model_of(cell), batch_of(8)
    parts = [oracle.kept_gradient(model, batch, [(s, s + 1, 0)]).params for s in range(8)]
    total = {name: sum(part[name] for part in parts) for name in parts[0]}
    assert relative_error(total, oracle.exact_gradient(model, batch).params) < ROUNDING


@pytest.mark.parametrize("cell", CELLS)
def test_a_kept_part_equals_the_graph_cut_by_hand(cell: str) -> None:
    model, batch = model_of(cell), batch_of(9)
    _, state = model.roll(batch.inputs[:4], model.initial_state(2))
    cut = tuple(part.detach() for part in state)
    hidden, _ = model.roll(batch.inputs[4:8], cut)
    loss = model.loss(hidden[2:], batch.targets[6:8], batch.weights[6:8])
    want = model.gradient_of(loss).params
    got = oracle.kept_gradient(model, batch, [(6, 8, 4)]).params
    assert relative_error(got, want) < ROUNDING


def test_the_lag_profile_of_a_linear_network_is_a_power() -> None:
    model, batch = linear_problem(6)
    norms = oracle.lag_norms(model, batch)[:, 0]
    want = norms[0] * 0.9 ** torch.arange(6, dtype=torch.float64)
    torch.testing.assert_close(norms, want, rtol=1e-6, atol=0)  # 0.9 is stored in float32


def test_the_lag_profile_of_an_lstm_counts_no_path_twice() -> None:
    model, batch = model_of("lstm"), batch_of(1, 1)
    state = model.advance(batch.inputs[0], model.initial_state(1))
    loss = model.loss(state[0], batch.targets[0], batch.weights[0])
    (want,) = torch.autograd.grad(loss, state[0])  # c reaches this loss through h alone
    got = oracle.lag_norms(model, batch)
    assert got.shape == (1, 1)
    assert got.item() == pytest.approx(float(want.norm()), rel=ROUNDING)


def test_a_dropped_factor_is_seen() -> None:
    model, batch = model_of("lstm"), batch_of(7)
    exact = oracle.exact_gradient(model, batch).params
    wrong = {name: grad * (0.5 if name.endswith("hh_l0") else 1.0) for name, grad in exact.items()}
    assert relative_error(wrong, exact) > 1e-3
    assert flat(exact).norm() > 0


@pytest.mark.parametrize("cell", CELLS)
def test_the_first_pieces_by_lag_add_up_to_the_gradient_truncated_there(cell: str) -> None:
    model, batch, lags = model_of(cell), batch_of(9), [1, 2, 4, 9]
    sums = list(accumulate(oracle.lag_gradients(model, batch, lags), add))
    for lag, found in zip(lags, sums, strict=True):
        kept = [(s, s + 1, max(0, s + 1 - lag)) for s in range(9)]
        want = oracle.kept_gradient(model, batch, kept)
        assert relative_error(found.params, want.params) < 1e-14
    exact = oracle.exact_gradient(model, batch).params
    assert relative_error(sums[-1].params, exact) < 1e-14
    assert relative_error(sums[0].params, exact) > 1e-3  # the lags beyond the first do matter
