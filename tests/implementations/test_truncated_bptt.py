"""What is special to truncated BPTT; what every method promises is tested over the registry."""

import pytest
import torch
from problems import CELLS, batch_of, gradient_by, model_of, relative_error

from harness.contract import Batch, Carry, Gradient, Hook, Shape
from harness.model import Model
from harness.oracle import exact_gradient, kept_gradient
from implementations.gradients.truncated_bptt import TruncatedBPTT

ROUNDING = 1e-12  # float64, some hundred operations


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("stride", [1, 3, 7, 20])
def test_truncation_as_deep_as_the_sequence_equals_full_bptt(cell: str, stride: int) -> None:
    model, batch = model_of(cell), batch_of(19)
    got = gradient_by(TruncatedBPTT(stride=stride, depth=20), model, batch)
    assert relative_error(got, exact_gradient(model, batch).params) < ROUNDING


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("stride", "depth"), [(1, 1), (1, 6), (3, 3), (4, 7), (5, 6), (16, 16)])
@pytest.mark.parametrize("length", [1, 5, 12, 19])
def test_truncation_equals_its_own_definition(
    cell: str, stride: int, depth: int, length: int
) -> None:
    model, batch, method = model_of(cell), batch_of(length), TruncatedBPTT(stride, depth)
    want = kept_gradient(model, batch, method.keeps(length)).params
    assert relative_error(gradient_by(method, model, batch), want) < ROUNDING


def test_chunks_that_divide_the_sequence_are_the_detached_loop_of_language_models() -> None:
    model, batch = model_of("lstm"), batch_of(12)
    state, total = model.initial_state(2), None
    for first in range(0, 12, 4):
        state = tuple(part.detach() for part in state)
        hidden, state = model.roll(batch.inputs[first : first + 4], state)
        cut = slice(first, first + 4)
        grads = model.gradient_of(model.loss(hidden, batch.targets[cut], batch.weights[cut])).params
        total = grads if total is None else {name: total[name] + grads[name] for name in grads}
    assert relative_error(gradient_by(TruncatedBPTT(4, 4), model, batch), total) < ROUNDING


def test_the_definition_lists_a_rectangle_a_window_with_the_last_one_as_deep() -> None:
    assert TruncatedBPTT(4, 6).keeps(10) == [(0, 4, 0), (4, 8, 2), (8, 10, 4)]


def test_the_next_sequence_of_a_stateful_task_starts_from_the_carried_state() -> None:
    model, batch = model_of("lstm"), batch_of(12)
    method = TruncatedBPTT(4, 4)
    carry = method.begin(model, 2, torch.Generator())
    for first in range(0, 12, 4):
        gradient, carry = method.gradient(model, batch.window(first, first + 4), carry)
    want, _ = model.roll(batch.inputs[:12], model.initial_state(2))
    torch.testing.assert_close(carry[1][0], want[-1])
    assert gradient.loss > 0


def test_parameters_may_move_between_windows_that_overlap() -> None:
    model, batch = model_of("lstm"), batch_of(9)
    method = TruncatedBPTT(2, 6)
    carry = method.begin(model, 2, torch.Generator())
    for first in range(0, 8, 2):
        gradient, carry = method.gradient(model, batch.window(first, first + 2), carry)
        with torch.no_grad():
            for name, param in model.named_parameters():
                param -= 0.01 * gradient.params[name]
    assert all(param.isfinite().all() for param in model.parameters())


@pytest.mark.parametrize(("stride", "depth"), [(0, 4), (5, 4)])
def test_an_impossible_truncation_is_refused(stride: int, depth: int) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        TruncatedBPTT(stride, depth)


def test_overlap_keeps_the_states_and_inputs_of_the_steps_that_run_again() -> None:
    shape = Shape(1024, 2, 3, 5, 2, 4, 2, 7.0, 7.0, 200, 4)
    sliding = TruncatedBPTT(16, 64).cost(shape)
    carried, window, again = 5 * shape.state_bytes, 16 * 2 * 2, 64 * 2 * 3  # states, TBO, TBI
    assert sliding.kept_bytes == carried + 4 * (8 * 64 * 2 * 5 + window + again)


class CutOneStepTooEarly(TruncatedBPTT):
    """The control: what the definition test must catch."""

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        self.depth -= 1
        result = super().gradient(model, window, carry, hook)
        self.depth += 1
        return result


def test_a_cut_one_step_too_early_breaks_the_definition() -> None:
    model, batch = model_of("lstm"), batch_of(12)
    method = CutOneStepTooEarly(stride=3, depth=6)
    want = kept_gradient(model, batch, method.keeps(12)).params
    assert relative_error(gradient_by(method, model, batch), want) > 1e-4
