"""Online methods: exactness, memory and chance; what defines each is in tests/identities.py."""

import math

import pytest
import torch
from problems import CELLS, batch_of, gradient_by, model_of, relative_error
from torch import Tensor

from harness import derivative, gated, trace
from harness.contract import Batch, GatedCell, Gradient, State
from harness.model import Model
from implementations.gradients import uoro
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.rtrl import RTRL

ROUNDING = 1e-13


@pytest.mark.parametrize("cell", CELLS)
def test_rtrl_is_full_bptt_and_its_trace_does_not_grow(cell: str) -> None:
    model, sizes = model_of(cell), set[int]()
    for length in (1, 12):
        batch = batch_of(length)
        begun = RTRL().begin(model, 2, torch.Generator())
        gradient, (_, influence) = RTRL().gradient(model, batch, begun)
        assert relative_error(gradient.params, gradient_by(FullBPTT(), model, batch)) < ROUNDING
        sizes.add(sum(matrix.numel() for matrix in influence.values()))
    assert len(sizes) == 1


def mean_off(model: Model, batch: Batch, runs: int = 24, copies: int = 128) -> float:
    """Return the rms over coordinates of UORO's mean error, in its standard errors."""
    many = Batch(
        batch.inputs.repeat(1, copies, 1),
        batch.targets.repeat(1, copies, 1),
        batch.weights.repeat(1, copies) / copies,
    )
    exact = gradient_by(FullBPTT(), model, batch)
    names = [name for name in exact if name.startswith("cell.")]

    def draw(seed: int) -> Tensor:
        begun = uoro.UORO().begin(model, many.inputs.shape[1], torch.Generator().manual_seed(seed))
        found: Gradient = uoro.UORO().gradient(model, many, begun)[0]
        return torch.cat([found.params[name].flatten() for name in names])

    draws = torch.stack([draw(seed) for seed in range(runs)])
    off = draws.mean(0) - torch.cat([exact[name].flatten() for name in names])
    return float((off / (draws.std(0) / math.sqrt(runs))).square().mean().sqrt())


def test_uoro_is_right_on_average() -> None:
    assert mean_off(model_of("elman", 4), batch_of(6, 1)) < 1.6


def test_uoro_without_its_signs_in_one_factor_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_signs(cell: object, x: Tensor, state: Tensor, signs: Tensor) -> object:
        return derivative_pull(cell, x, state, torch.ones_like(signs))

    derivative_pull = derivative.pull
    monkeypatch.setattr(uoro.derivative, "pull", without_signs)
    assert mean_off(model_of("elman", 4), batch_of(6, 1)) > 3


def test_the_trace_with_the_transposed_jacobian_would_be_seen() -> None:
    model, batch = model_of("gru"), batch_of(5)
    cell = model.cell
    assert isinstance(cell, GatedCell)
    state: State = (torch.randn(2, 5, dtype=torch.float64),)
    x = batch.inputs[0]
    local = cell.local(cell.from_input(x), cell.from_hidden(state[0]), state)
    jacobian = gated.jacobian(cell, local).detach()
    want = derivative.jacobian(cell, x, state[0])
    assert torch.allclose(jacobian, want, atol=1e-14)
    assert not torch.allclose(jacobian.mT, want, atol=1e-3)
    inside = trace.within_units(cell, local).detach()[:, 0, 0]
    assert torch.allclose(inside, want.diagonal(dim1=1, dim2=2), atol=1e-14)
