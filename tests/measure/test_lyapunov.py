"""Lyapunov exponents, where they are known: of linear maps, and beside products of Jacobians."""

import math

import pytest
import torch
from problems import CELLS, Probe, batch_of, model_of
from rigs import REGISTRY, rig_of
from torch import Tensor

from harness.contract import Batch, Cell, State
from harness.measure.lyapunov import growths, lyapunov, spectrum
from harness.model import Model
from harness.trial import Choice

LENGTH = 60


class Linear(Cell):
    """h_t = W h_{t-1} + U x_t: the exponent is ln of the largest |eigenvalue| of W."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(3, len(weight))
        self.weight = torch.nn.Parameter(weight)
        self.u = torch.nn.Parameter(torch.ones(len(weight), 3))

    def advance(self, x: Tensor, state: State) -> State:
        return (state[0] @ self.weight.T + x @ self.u.T,)


def linear(weight: Tensor) -> Model:
    return Model(Linear(weight), Probe()).double()


def exponent(model: Model) -> float:
    found = lyapunov(model, batch_of(LENGTH), torch.Generator().manual_seed(0))
    assert found is not None
    assert found["lower"] <= found["median"] <= found["upper"]
    return float(found["median"])


@pytest.mark.parametrize("largest", [0.5, 1.0, 1.3])
def test_of_a_linear_map_it_is_the_log_of_the_largest_eigenvalue(largest: float) -> None:
    basis = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(3)))[0]
    weight = basis @ torch.diag(torch.tensor([largest, 0.2, -0.1, 0.05])) @ basis.T
    # a share (0.2 / 0.5)^15 of the first direction is left after the steps that are not counted
    assert exponent(linear(weight)) == pytest.approx(math.log(largest), abs=1e-5)


def test_of_a_rotation_nothing_grows_in_any_direction() -> None:
    weight = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(4)))[0]
    assert exponent(linear(weight)) == pytest.approx(0.0, abs=1e-6)


def jacobians(model: Model, batch: Batch) -> list[Tensor]:
    """Return Jₜ, (S, S), of every step of one sequence, by autograd."""
    state, found = model.initial_state(1), []
    for x in batch.inputs:

        def step(flat: Tensor, x: Tensor = x) -> Tensor:
            return torch.cat(model.advance(x, flat.split(5, 1)), 1)

        flat = torch.cat(state, 1)
        found.append(torch.autograd.functional.jacobian(step, flat)[0, :, 0, :])
        state = step(flat).detach().split(5, 1)
    return found


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_of_a_cell_it_is_what_the_product_of_its_jacobians_grows_by(cell: str) -> None:
    model, batch = model_of(cell), batch_of(12, batch_size=1)
    grown = growths(model, batch, torch.Generator().manual_seed(0))[:, 0, 0]
    product = torch.eye(5 * model.cell.parts).double()
    for jacobian in jacobians(model, batch):
        product = jacobian @ product
    first = torch.Generator().manual_seed(0)
    drawn = [torch.randn(1, 5, generator=first).double() for _ in range(model.cell.parts)]
    start = torch.cat(drawn, 1)[0]
    want = (product @ start).norm() / start.norm()
    assert float(grown.sum().exp()) == pytest.approx(float(want), rel=1e-6)


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_all_exponents_together_are_the_log_of_the_determinant_at_every_step(cell: str) -> None:
    model, batch = model_of(cell), batch_of(12, batch_size=1)
    size = 5 * model.cell.parts
    every, but_one = (
        growths(model, batch, torch.Generator().manual_seed(0), count).sum(1)[:, 0]
        for count in (size, size - 1)
    )
    want = torch.stack([torch.linalg.slogdet(one).logabsdet for one in jacobians(model, batch)])
    # ill-conditioned steps of the LSTM lose some digits of float64's 16
    torch.testing.assert_close(every, want, rtol=0, atol=1e-8)
    assert (but_one - want).abs().min() > 1e-2


def exponents(model: Model, count: int) -> list[float | None]:
    found = spectrum(model, batch_of(LENGTH), torch.Generator().manual_seed(0), count)
    return found["median"]


def test_of_a_linear_map_they_are_the_logs_of_its_eigenvalues() -> None:
    eigenvalues = [1.2, -0.6, 0.3, 0.1]
    basis = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(3)))[0]
    model = linear(basis @ torch.diag(torch.tensor(eigenvalues)) @ basis.T)
    want = [math.log(abs(one)) for one in eigenvalues]
    # a share (1/2)^30 of the next direction is left after the steps that are not counted
    assert exponents(model, 4) == pytest.approx(want, abs=1e-6)
    assert exponents(model, 2) == pytest.approx(want[:2], abs=1e-6)
    assert exponents(model, 99) == exponents(model, 4)  # there are no more


def test_of_one_unit_it_is_the_mean_log_of_its_derivative() -> None:
    model, batch = model_of("elman", hidden_size=1), batch_of(LENGTH)
    with torch.no_grad():
        hidden, _ = model.roll(batch.inputs, model.initial_state(2))  # (T, B, 1)
        weight = dict(model.cell.named_parameters())["rnn.weight_hh_l0"]
        grown = (weight * (1 - hidden.square())).abs().log()[LENGTH // 4 :, :, 0].mean(0)
    assert exponent(model) == pytest.approx(float(grown.mean()), rel=1e-12)  # B = 2


def test_a_direction_that_is_lost_has_no_exponent_and_the_others_keep_theirs() -> None:
    found = exponents(linear(torch.diag(torch.tensor([1.5, 0.0]))), 2)
    assert found == [pytest.approx(math.log(1.5)), None]


def test_a_state_that_leaves_the_numbers_has_no_exponent() -> None:
    for weight in (math.nan, 0.0):
        model = linear(torch.full((2, 2), weight))
        assert lyapunov(model, batch_of(9), torch.Generator()) is None


@pytest.mark.parametrize(
    "cell", sorted(one.name for one in REGISTRY.plugins if one.kind == "cells")
)
def test_every_cell_can_be_pushed_along_a_tangent(cell: str) -> None:
    rig = rig_of("gradients", cell=Choice(cell), sequence_length=5).in_float64()
    assert lyapunov(rig.model, rig.batch(), rig.generator("tangent")) is not None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_on_a_gpu_the_exponent_is_the_processors() -> None:
    found = []
    for device in ("cpu", "cuda"):
        rig = rig_of("gradients", device=device, dtype="float64")  # an LSTM, fused on a GPU
        found.append(lyapunov(rig.model, rig.batch(), rig.generator("tangent")))
    here, there = found
    assert here is not None
    assert there == pytest.approx(here, rel=1e-12)  # both are computed here, of the same numbers
