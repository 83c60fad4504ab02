"""What is special to truncated BPTT; what every method promises is tested over the registry."""

from collections.abc import Iterator
from itertools import accumulate

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import CELLS, batch_of, gradient_by, model_of, relative_error
from torch import Tensor
from truncation_identities import windows_unrolled_alone

from harness.check.probe import Probe
from harness.contract import Batch, Carry, Cell, Gradient, Gradients, Hook, Shape, State
from harness.drive import Drive, add
from harness.model import Model, detach
from harness.oracle import exact_gradient, kept_gradient, lag_gradients, unroll
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


SPECIAL = {  # T = 12
    "the whole sequence (T, T)": (12, 12),
    "chunks (k, k)": (4, 4),
    "chunks that do not divide T": (5, 5),
    "the sliding window (1, k)": (1, 5),
    "windows that overlap by half (k, 2k)": (3, 6),
    "the last of them ragged": (5, 10),
}


@pytest.mark.parametrize("cell", EVERY_CELL)
@pytest.mark.parametrize("case", SPECIAL)
def test_every_special_case_is_each_window_unrolled_alone(cell: str, case: str) -> None:
    model, batch = model_with(cell), batch_of(12)
    want = windows_unrolled_alone(model, batch, *SPECIAL[case])
    assert relative_error(gradient_by(TruncatedBPTT(*SPECIAL[case]), model, batch), want) < ROUNDING


def chunks_detached(model: Model, batch: Batch, steps: int) -> Iterator[Gradients]:
    """Yield each chunk's gradient as language models train: the state goes on, its graph not."""
    state = model.initial_state(batch.inputs.shape[1])
    for first in range(0, len(batch), steps):
        chunk = batch.window(first, min(first + steps, len(batch)))
        hidden, state = model.roll(chunk.inputs, detach(state))
        yield model.gradient_of(model.loss(hidden, chunk.targets, chunk.weights)).params


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("steps", [1, 4, 12])
def test_chunks_that_divide_the_sequence_are_the_detached_loop_to_the_last_bit(
    cell: str, steps: int
) -> None:
    model, batch, total = model_of(cell), batch_of(12), Gradients()
    for grads in chunks_detached(model, batch, steps):
        total = {name: total[name] + grad if total else grad for name, grad in grads.items()}
    got = gradient_by(TruncatedBPTT(steps, steps), model, batch)
    assert all(torch.equal(got[name], total[name]) for name in total)


def test_a_last_chunk_that_is_shorter_looks_back_as_far_as_the_others() -> None:
    model, batch, total = model_of("lstm"), batch_of(12), Gradients()
    for grads in chunks_detached(model, batch, 5):
        total = {name: total[name] + grad if total else grad for name, grad in grads.items()}
    got = gradient_by(TruncatedBPTT(5, 5), model, batch)
    exact = exact_gradient(model, batch).params
    assert relative_error(got, total) > 1e-3
    assert relative_error(got, exact) < relative_error(total, exact)


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_the_sliding_window_is_the_sum_of_the_first_lags(cell: str) -> None:
    model, batch, lags = model_with(cell), batch_of(9), [1, 2, 4, 9]
    pieces = lag_gradients(model, batch, lags)
    for depth, summed in zip(lags, accumulate(pieces, add), strict=True):
        got = gradient_by(TruncatedBPTT(1, depth), model, batch)
        assert relative_error(got, summed.params) < ROUNDING
    if model.cell.gates == 1:  # the control; a cell may have no lag beyond the first
        shallow = gradient_by(TruncatedBPTT(1, 3), model, batch)
        assert relative_error(shallow, list(accumulate(pieces, add))[2].params) > 1e-4


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam], ids=["sgd", "adam"])
def test_parameters_go_the_way_of_a_plain_loop_that_steps_after_every_chunk(
    make: type[torch.optim.Optimizer],
) -> None:
    """As ignite's trainer of truncated BPTT goes: detach, forward, backward, step."""
    model, plain = model_of("lstm"), model_of("lstm")
    drive = Drive(
        model,
        TruncatedBPTT(4, 4),
        update="window",
        optimizer=make(model.parameters(), lr=0.05),  # type: ignore[call-arg]
    )
    optimizer = make(plain.parameters(), lr=0.05)  # type: ignore[call-arg]
    for seed in range(3):
        batch = batch_of(12, seed=seed)
        drive.sequence(batch, drive.begin(2, torch.Generator()))
        for grads in chunks_detached(plain, batch, 4):
            for name, param in plain.named_parameters():
                param.grad = grads[name]
            optimizer.step()
    moved = dict(model.named_parameters())
    assert all(torch.equal(moved[name], param) for name, param in plain.named_parameters())
    assert not torch.equal(moved["readout.bias"], model_of("lstm").readout.bias)


class Scalar(Cell):
    """h' = w h + x."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.w = torch.nn.Parameter(torch.tensor(0.9))

    def advance(self, x: Tensor, state: State) -> State:
        return (self.w * state[0] + x,)


@pytest.mark.parametrize("depth", [1, 3, 5, 12])
def test_the_bias_on_a_scalar_linear_network_is_the_closed_form(depth: int) -> None:
    model = Model(Scalar(1, 1), Probe()).double()
    inputs = torch.randn(12, 1, 1, dtype=torch.float64)
    weights = torch.zeros(12, 1, dtype=torch.float64)
    weights[-1] = 1.0  # the last step alone has a loss
    batch = Batch(inputs, torch.zeros(12, 1, 2, dtype=torch.float64), weights)
    exact = exact_gradient(model, batch).params["cell.w"]
    got = gradient_by(TruncatedBPTT(1, depth), model, batch)["cell.w"]
    graph = unroll(model, batch)
    h = [0.0, *(float(state[0].detach()) for state in graph.states)]  # h₀, ..., h_T
    error = float(graph.adjoints(11, 12, 11)[0][0])  # dL/dh_T
    w = float(model.cell.get_parameter("w").detach())
    want = error * sum(w ** (j - 1) * h[12 - j] for j in range(depth + 1, 13))
    assert float(exact - got) == pytest.approx(want, rel=1e-10, abs=1e-14)


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
