"""Synthetic gradients: with true messages they are full BPTT, with none truncated BPTT."""

import copy
from typing import Any

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import batch_of, gradient_by, model_of, relative_error
from rigs import rig_of

from harness import derivative
from harness.contract import Batch, Cell, State
from harness.measure.memory import measure
from harness.model import Model
from harness.oracle import exact_gradient, unroll
from implementations.gradients.dni import DNI, Synthetic
from implementations.gradients.truncated_bptt import TruncatedBPTT

ROUNDING = 1e-13  # float64 over a dozen steps


def messages(model: Model, batch: Batch, stride: int) -> list[State]:
    """Return dL_later/ds at the end of every window, from one graph of the whole sequence."""
    graph, length, found = unroll(model, batch), len(batch), []
    for first in range(0, length, stride):
        end = min(first + stride, length)
        later = end < length
        adjoints = graph.adjoints(end, length, end - 1) if later else [graph.states[-1]]
        found.append(tuple(part.detach() * later for part in adjoints[0]))
    return found


class Oracle(Synthetic):
    """Guesses that are true, up to a factor."""

    def __init__(self, model: Model, batch: Batch, stride: int, factor: float = 1.0) -> None:
        self.true, self.factor = messages(model, batch, stride), factor

    def guess(self, cell: Cell, state: State) -> State:
        return tuple(self.factor * part for part in self.true.pop(0))

    def learn(self, cell: Cell, state: State, message: State) -> None:
        pass


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


def test_the_message_of_a_window_is_what_the_guess_before_it_learns_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[State, State]] = []

    def note(self: Synthetic, cell: Cell, state: State, message: State) -> None:
        told.append((state, message))

    monkeypatch.setattr(Synthetic, "learn", note)
    model, batch, method = model_of("lstm"), batch_of(8), DNI(4)
    gradient_by(method, model, batch)
    gradient_by(method, model, batch)
    graph = unroll(model, batch)
    for (state, message), at, want in (
        (told[0], 3, messages(model, batch, 4)[0]),
        (told[1], 7, tuple(map(torch.zeros_like, graph.states[7]))),  # the sequence was over
    ):
        torch.testing.assert_close(state, tuple(part.detach() for part in graph.states[at]))
        torch.testing.assert_close(message, want)


def synthetic_problem() -> tuple[State, Any]:
    """Return states and the linear map of them that is to be learned."""
    generator = torch.Generator().manual_seed(0)
    state = (torch.randn(64, 3, generator=generator, dtype=torch.float64),)
    weight = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    return state, weight


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_a_guess_learns_a_linear_message_whatever_its_scale(scale: float) -> None:
    state, weight = synthetic_problem()
    cell = model_of("elman", 3).cell
    want = Synthetic(scale * weight, 0.0).guess(cell, state)
    learner = Synthetic(torch.zeros_like(weight), 1.0)
    errors = []
    for _ in range(60):
        errors.append(float((learner.guess(cell, state)[0] - want[0]).norm() / want[0].norm()))
        learner.learn(cell, state, want)
    assert errors[0] == 1
    assert errors[-1] < 1e-3
    assert errors == sorted(errors, reverse=True)


def test_learning_from_the_opposite_message_diverges() -> None:
    state, weight = synthetic_problem()
    cell = model_of("elman", 3).cell
    learner = Synthetic(torch.zeros_like(weight), 1.0)
    want = Synthetic(weight, 0.0).guess(cell, state)
    for _ in range(20):
        learner.learn(cell, state, want)
    opposite = tuple(-part for part in want)
    assert derivative.join(learner.guess(cell, state)).sub(want[0]).norm() < 0.5
    for _ in range(20):
        learner.learn(cell, state, opposite)
    assert derivative.join(learner.guess(cell, state)).sub(want[0]).norm() > 1.0


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
