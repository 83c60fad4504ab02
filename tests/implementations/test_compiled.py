"""Fused steps in C++: rows that do not fill a vector, hooks, memory, and a missing compiler."""

import math

import pytest
import torch
from problems import CELLS, batch_of, gradient_by, model_of, relative_error
from rigs import rig_of

from harness.check.probe import Probe
from harness.contract import Batch, Clip, State
from harness.measure import memory
from harness.model import Model
from harness.trial import Choice
from implementations.cells.elman import Elman
from implementations.gradients import _build
from implementations.gradients.compiled import Compiled
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.native import Native

pytestmark = pytest.mark.skipif(_build.compiler() is None, reason="there is no C++ compiler")


class Uneven(Clip):
    """Scales each part and step of the message differently."""

    uses_hidden = True

    def hidden(self, t: int, grads: State) -> State:
        return tuple(grad * (0.9 + 0.05 * part + 0.01 * (t % 3)) for part, grad in enumerate(grads))


@pytest.mark.parametrize("hidden_size", [1, 5, 16, 19])  # under, over and at a vector's width
@pytest.mark.parametrize("cell", CELLS)
def test_the_loop_the_module_and_the_fused_steps_agree(cell: str, hidden_size: int) -> None:
    model, batch = model_of(cell, hidden_size), batch_of(9, 3)
    got = gradient_by(Compiled(), model, batch)
    assert relative_error(got, gradient_by(FullBPTT(), model, batch)) < 1e-14
    assert relative_error(got, gradient_by(Native(), model, batch)) < 1e-14
    other = gradient_by(FullBPTT(), model, batch_of(9, 3, seed=3))
    assert relative_error(got, other) > 1e-2


@pytest.mark.parametrize("cell", CELLS)
def test_a_hook_changes_what_travels_on_as_under_autograd(cell: str) -> None:
    model, batch = model_of(cell), batch_of(9)
    got = gradient_by(Compiled(), model, batch, (Uneven(),))
    assert relative_error(got, gradient_by(FullBPTT(), model, batch, (Uneven(),))) < 1e-14
    assert relative_error(got, gradient_by(FullBPTT(), model, batch)) > 1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_a_window_begins_with_the_state_it_is_given(cell: str) -> None:
    model, batch = model_of(cell), batch_of(6)
    carry = tuple(torch.full_like(part, 0.3) for part in model.initial_state(2))
    got, last = Compiled().gradient(model, batch, carry)
    want, state = FullBPTT().gradient(model, batch, carry)
    assert relative_error(got.params, want.params) < 1e-14
    for mine, theirs in zip(last, state, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-14, atol=1e-14)
    fresh, _ = Compiled().gradient(model, batch, model.initial_state(2))
    assert relative_error(fresh.params, want.params) > 1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_single_precision_is_as_near_as_the_modules(cell: str) -> None:
    model, batch = model_of(cell, 19), batch_of(40)
    exact = gradient_by(FullBPTT(), model, batch)
    single = batch.to(torch.device("cpu"), torch.float32)
    got = gradient_by(Compiled(), model.float(), single)
    got = {name: grad.double() for name, grad in got.items()}
    assert 0 < relative_error(got, exact) < 1e-5  # 40 steps of 6e-8 each, and some room


@torch.no_grad()
def test_its_tanh_is_right_to_a_few_units_in_the_last_place_at_any_size() -> None:
    cell = Elman(1, 1)
    for name, weight in cell.named_parameters():
        weight.fill_(float(name == "rnn.weight_ih_l0"))  # h = tanh(x)
    model = Model(cell, Probe()).requires_grad_()
    values = torch.tensor([1e-6, 1e-3, 0.1, 0.4999, 0.5001, 1.0, 3.0, 20.0, 200.0])
    for x in (*values, *-values):
        batch = Batch(x.view(1, 1, 1), torch.zeros(1, 1, 2), torch.ones(1, 1))
        _, (h,) = Compiled().gradient(model, batch, model.initial_state(1))
        assert abs(float(h) / math.tanh(float(x)) - 1) < 4e-7  # 3 units of 2^-23


@pytest.mark.parametrize("cell", CELLS)
def test_what_the_fused_steps_keep_is_what_theory_says(cell: str) -> None:
    sizes = {"cell": Choice(cell), "sequence_length": 96, "hidden_size": 32, "batch_size": 8}
    values = memory.measure(rig_of("memory", "compiled", **sizes))
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.1)


def test_a_machine_without_a_compiler_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("gru")
    assert Compiled().supports(model) is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "CXX" in str(Compiled().supports(model))
