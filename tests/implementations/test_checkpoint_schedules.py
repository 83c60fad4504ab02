"""Checkpointing with a budget of slots: the schedules are optimal and kept to the step."""

import math
import weakref

import pytest
import torch
from problems import CELLS, batch_of, gradient_by, model_of, relative_error
from torch import Tensor

from harness.contract import Batch, State
from harness.model import Model
from harness.oracle import exact_gradient
from implementations.gradients import _schedules
from implementations.gradients.checkpointed import Checkpointed
from implementations.gradients.checkpointed_internals import CheckpointedInternals
from implementations.gradients.checkpointed_states import CheckpointedStates

LENGTH = 19
SLOTS = [1, 2, 3, 7, 19, 40]


class Counting(Model):
    """Counts the steps forward."""

    steps = 0

    def advance(self, x: Tensor, state: State) -> State:
        self.steps += 1
        return super().advance(x, state)


def counting() -> Counting:
    model = model_of("lstm")
    return Counting(model.cell, model.task).double()


def brute_force(longest: int, slots: int, covered: int) -> list[list[int]]:
    """Return the least forward steps [m - 1][t] by trying every step that could be kept."""
    table = [[t * (t + 1) // 2 for t in range(longest + 1)]]
    for _ in range(1, slots):
        fewer, cost = table[-1], [0, 1]
        for t in range(2, longest + 1):
            most = t if covered else t - 1
            cost.append(min(y + fewer[t - y] + cost[y - covered] for y in range(1, most + 1)))
        table.append(cost)
    return table


def test_both_schedules_are_the_best_of_all() -> None:
    for covered, schedule in enumerate([_schedules.of_states, _schedules.of_internals]):
        table = brute_force(60, 12, covered)
        for slots in range(1, 13):
            made = schedule(60, slots)
            assert [made.forward_steps(t) for t in range(61)] == table[slots - 1]


def closed_form(length: int, slots: int) -> int:
    repeats = next(r for r in range(length) if math.comb(slots + r, r) >= length)
    return length + repeats * length - (math.comb(slots + repeats, repeats - 1) if repeats else 0)


def test_states_cost_what_the_closed_form_says() -> None:
    for slots in (1, 2, 5, 20):
        made = _schedules.of_states(300, slots)
        for length in range(slots + 1, 301):
            assert made.forward_steps(length) == closed_form(length, slots)


def test_the_published_mark_is_met() -> None:
    # Gruslys et al.: 95 % of the memory saved at T = 1000 for a third more time, back = 2 forward.
    states, internals = (s(1000, 50) for s in (_schedules.of_states, _schedules.of_internals))
    assert states.forward_steps(1000) / 1000 == pytest.approx(2.948, abs=5e-4)
    assert internals.forward_steps(1000) / 1000 == pytest.approx(1.950, abs=5e-4)
    assert (internals.forward_steps(1000) / 1000 + 2) / 3 == pytest.approx(1.317, abs=5e-4)


@pytest.mark.parametrize("slots", SLOTS)
def test_the_steps_that_run_are_those_of_the_schedule(slots: int) -> None:
    for method, schedule in (
        (CheckpointedStates(slots), _schedules.of_states),
        (CheckpointedInternals(slots), _schedules.of_internals),
    ):
        model = counting()
        gradient_by(method, model, batch_of(LENGTH))
        assert model.steps == schedule(LENGTH, slots).forward_steps(LENGTH)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("slots", SLOTS)
def test_any_budget_gives_the_exact_gradient(cell: str, slots: int) -> None:
    model, batch = model_of(cell), batch_of(LENGTH)
    want = exact_gradient(model, batch).params
    for method in (CheckpointedStates(slots), CheckpointedInternals(slots)):
        assert relative_error(gradient_by(method, model, batch), want) < 1e-12


def alive_by_slots(internals: bool, slots: int) -> int:
    """Return the most distinct starting states, or tapes, that were alive at one forward step."""
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    class Watching(Model):
        def advance(self, x: Tensor, state: State) -> State:
            nonlocal most
            after = super().advance(x, state)
            if torch.is_grad_enabled() == internals:
                alive.add(after[0])
            most = max(most, len(alive))
            return after

    model = model_of("elman")
    method = CheckpointedInternals(slots) if internals else CheckpointedStates(slots)
    gradient_by(method, Watching(model.cell, model.task).double(), batch_of(LENGTH))
    return most


@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_no_more_is_alive_than_the_budget(slots: int) -> None:
    # Beside the kept states, two are passing by: the one that advances and the one it becomes.
    # The first state, which takes a slot, is the caller's.
    assert slots - 1 <= alive_by_slots(False, slots) <= slots - 1 + 2
    assert alive_by_slots(True, slots) == slots


def test_a_step_kept_one_too_late_costs_more() -> None:
    made = _schedules.of_states(60, 4)
    cost = _schedules.of_states(60, 3).costs[-1]
    best = made.next_kept(60, 4)
    worse = max(best - 8, 1)
    assert worse + cost[60 - worse] + made.costs[-1][worse] > made.forward_steps(60)


def test_the_default_segment_is_the_square_root() -> None:
    model, batch = counting(), batch_of(17)
    lengths: list[int] = []

    class Noting(Counting):
        def roll(self, inputs: Tensor, *args: object) -> tuple[Tensor, State]:
            lengths.append(len(inputs))
            return super().roll(inputs, *args)  # type: ignore[arg-type]

    noting = Noting(model.cell, model.task).double()
    gradient_by(Checkpointed(), noting, batch)
    assert max(lengths) == 5  # √17, rounded up
    assert noting.steps == 2 * 17


@pytest.mark.parametrize("method", [CheckpointedStates, CheckpointedInternals])
def test_no_slot_at_all_is_refused(
    method: type[CheckpointedStates] | type[CheckpointedInternals],
) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        method(0)


def test_the_carry_is_the_last_state() -> None:
    model, batch = model_of("lstm"), batch_of(9)
    start = model.initial_state(2)
    _, want = Checkpointed(4).gradient(model, batch, start)
    for method in (CheckpointedStates(3), CheckpointedInternals(3)):
        torch.testing.assert_close(method.gradient(model, batch, start)[1], want)


def test_a_window_that_begins_late_is_no_different() -> None:
    model, batch = model_of("gru"), batch_of(9)
    late = Batch(batch.inputs, batch.targets, batch.weights, start=5)
    start = model.initial_state(2)
    got = CheckpointedInternals(3).gradient(model, late, start)[0].params
    assert relative_error(got, exact_gradient(model, batch).params) < 1e-12
