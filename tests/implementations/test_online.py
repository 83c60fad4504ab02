"""Online methods: exactness, memory and chance; what defines each is in tests/identities.py."""

import math

import pytest
import torch
from problems import CELLS, batch_of, gradient_by, model_of, relative_error
from rigs import rig_of
from torch import Tensor

from harness import derivative, gated, trace
from harness.contract import Batch, GatedCell, Gradient, GradientMethod, State
from harness.measure.memory import measure
from harness.model import Model
from harness.trial import Choice
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.kf_rtrl import KFRTRL
from implementations.gradients.ok import OK
from implementations.gradients.rtrl import RTRL
from implementations.gradients.uoro import UORO

ROUNDING = 1e-13


@pytest.mark.parametrize("cell", CELLS)
def test_rtrl_is_full_bptt_and_its_trace_does_not_grow(cell: str) -> None:
    model, sizes = model_of(cell), set[int]()
    for length in (1, 12):
        batch = batch_of(length)
        begun = RTRL().begin(model, 2, torch.Generator())
        gradient, carried = RTRL().gradient(model, batch, begun)
        assert relative_error(gradient.params, gradient_by(FullBPTT(), model, batch)) < ROUNDING
        sizes.add(sum(matrix.numel() for matrix in carried.influence.values()))
    assert len(sizes) == 1


def mean_off(method: GradientMethod, model: Model, batch: Batch) -> float:
    """Return the rms over coordinates of the mean error of many draws, in its standard errors."""
    runs, copies = 24, 128
    many = Batch(
        batch.inputs.repeat(1, copies, 1),
        batch.targets.repeat(1, copies, 1),
        batch.weights.repeat(1, copies) / copies,
    )
    exact = gradient_by(FullBPTT(), model, batch)
    names = [name for name in exact if name.startswith("cell.")]

    def draw(seed: int) -> Tensor:
        begun = method.begin(model, many.inputs.shape[1], torch.Generator().manual_seed(seed))
        found: Gradient = method.gradient(model, many, begun)[0]
        return torch.cat([found.params[name].flatten() for name in names])

    draws = torch.stack([draw(seed) for seed in range(runs)])
    off = draws.mean(0) - torch.cat([exact[name].flatten() for name in names])
    return float((off / (draws.std(0) / math.sqrt(runs))).square().mean().sqrt())


def test_uoro_is_right_on_average() -> None:
    assert mean_off(UORO(), model_of("elman", 4), batch_of(6, 1)) < 1.6


@pytest.mark.parametrize("method", [KFRTRL(), OK(1), OK(2)], ids=str)
def test_a_kronecker_estimate_is_right_on_average(method: GradientMethod) -> None:
    # About 1; the coordinates move together, so that it spreads.
    assert 0.5 < mean_off(method, model_of("elman", 4), batch_of(6, 1)) < 1.5


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


@pytest.mark.parametrize(
    "gradient", ["rtrl", "snap", "snap1", "uoro", "kf_rtrl", "ok", "output_only", "random_gradient"]
)
def test_what_is_kept_is_what_theory_says(gradient: str) -> None:
    rig = rig_of("memory", gradient, cell=Choice("gru"), hidden_size=16)
    values = measure(rig)
    # Scalars and a state that the shape checker holds on to are in no formula (see test_memory.py).
    slack = 0.01 * values["theory"]["kept_bytes"] + 2 * rig.shape().state_bytes
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], abs=slack)
