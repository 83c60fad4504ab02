"""Synthetic gradients: with true messages they are full BPTT, with none truncated BPTT."""

import copy

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import batch_of, gradient_by, model_of, relative_error
from rigs import rig_of
from truncation_identities import ROUNDING, Oracle

from harness.measure.memory import measure
from harness.oracle import exact_gradient
from implementations.gradients.dni import DNI, Synthetic
from implementations.gradients.truncated_bptt import TruncatedBPTT


@pytest.mark.parametrize("cell", EVERY_CELL)
@pytest.mark.parametrize(("stride", "length"), [(1, 7), (3, 7), (4, 8), (8, 7), (4, 1)])
def test_with_true_guesses_it_is_full_bptt(cell: str, stride: int, length: int) -> None:
    model, batch = model_with(cell), batch_of(length)
    exact = exact_gradient(model, batch).params
    method = DNI(stride)
    method.synthetic = Oracle(model, batch, stride)
    assert relative_error(gradient_by(method, model, batch), exact) < ROUNDING


def test_with_guesses_a_tenth_too_long_it_is_not() -> None:
    model, batch = model_of("lstm"), batch_of(7)
    method = DNI(3)
    method.synthetic = Oracle(model, batch, 3, factor=1.1)
    assert (
        relative_error(gradient_by(method, model, batch), exact_gradient(model, batch).params)
        > 1e-3
    )


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_before_it_has_learned_it_is_truncated_bptt(cell: str) -> None:
    model, batch = model_with(cell), batch_of(8)
    want = gradient_by(TruncatedBPTT(4, 4), model, batch)
    assert relative_error(gradient_by(DNI(4, rate=0.0), model, batch), want) < ROUNDING


def test_what_it_learns_lives_as_long_as_the_object() -> None:
    model, batch, method = model_of("lstm"), batch_of(12), DNI(4)
    first, again = (gradient_by(method, model, batch) for _ in range(2))
    fresh = gradient_by(DNI(4), model, batch)
    assert relative_error(first, fresh) == 0
    assert relative_error(again, fresh) > 1e-6


def test_every_lesson_brings_a_linear_guess_closer() -> None:
    generator, cell = torch.Generator().manual_seed(0), model_of("elman", 3).cell
    state = (torch.randn(64, 3, generator=generator, dtype=torch.float64),)
    weight = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    want = Synthetic(weight, 0.0).guess(cell, state)
    learner, errors = Synthetic(torch.zeros_like(weight), 0.3), []
    for _ in range(20):
        errors.append(float((learner.guess(cell, state)[0] - want[0]).norm()))
        learner.learn(cell, state, want)
    assert errors == sorted(errors, reverse=True)
    learner.learn(cell, state, tuple(-part for part in want))
    assert float((learner.guess(cell, state)[0] - want[0]).norm()) > errors[-1]


def test_once_it_has_learned_it_is_closer_to_full_bptt_than_truncation() -> None:
    model, batch, method = model_of("lstm"), batch_of(12), DNI(2)
    exact = exact_gradient(model, batch).params
    errors = [relative_error(gradient_by(method, model, batch), exact) for _ in range(20)]
    truncated = relative_error(gradient_by(TruncatedBPTT(2, 2), model, batch), exact)
    assert errors[-1] < 0.6 * truncated
    assert errors[-1] < errors[0]


def test_a_copy_learns_on_its_own() -> None:
    model, batch, method = model_of("lstm"), batch_of(12), DNI(4)
    gradient_by(method, model, batch)
    other = copy.deepcopy(method)
    gradient_by(other, model, batch)
    assert method.synthetic is not None
    assert other.synthetic is not None
    assert not torch.equal(method.synthetic.weight, other.synthetic.weight)


def test_kept_bytes_are_those_of_a_window() -> None:
    params = {"stride": 8}
    values = measure(rig_of("memory", "dni", params=params, hidden_size=32, dtype="float64"))
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.03)


@pytest.mark.parametrize(("stride", "rate"), [(0, 0.1), (4, -0.1), (4, 2.0)])
def test_an_impossible_window_or_rate_is_refused(stride: int, rate: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        DNI(stride, rate)
