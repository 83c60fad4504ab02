"""Methods that are parallel in time: as the loop, in no more iterations than there are steps."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import RAGGED, batch_of, gradient_by, relative_error
from rigs import rig_of
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness import scan
from harness.contract import GatedCell, GradientMethod, Local, State
from harness.measure import memory
from harness.model import Model
from harness.rig import Rig
from harness.trial import Choice
from implementations.cells.elman import Elman
from implementations.gradients import _newton, _parallel
from implementations.gradients.deer import DEER, ITERATIONS
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.linear_scan import LinearScan, states_of
from implementations.gradients.quasi_deer import QuasiDEER
from implementations.gradients.quasi_deer_diagonal import QuasiDEERDiagonal
from implementations.gradients.scan_backward import ScanBackward
from implementations.gradients.snap1 import SnAp1

GATED = [name for name in EVERY_CELL if isinstance(model_with(name).cell, GatedCell)]
LINEAR = [name for name in GATED if LinearScan().supports(model_with(name)) is None]
MIXING = [name for name in GATED if name not in LINEAR]
FOLLOW = {"J": _parallel.follow, "D": _parallel.follow_within}


def solved(model: Model, inputs: Tensor, follow: _parallel.Follow) -> _newton.Solved:
    assert isinstance(model.cell, GatedCell)
    with torch.no_grad():
        a = model.cell.from_input(inputs)
        return _newton.solve(model.cell, a, model.initial_state(inputs.shape[1]), follow)


@torch.no_grad()
def looped(model: Model, inputs: Tensor) -> Tensor:
    """Return all parts of the state after every step, (T, B, S), by the loop."""
    state, found = model.initial_state(inputs.shape[1]), []
    for x in inputs:
        state = model.advance(x, state)
        found.append(torch.cat(state, 1))
    return torch.stack(found)


def joined(states: State) -> Tensor:
    return torch.cat(states, 2)[1:]


@pytest.mark.parametrize("follow", FOLLOW)
@pytest.mark.parametrize("cell", GATED)
def test_newton_over_time_finds_the_loop_s_states_in_t_iterations_or_fewer(
    cell: str, follow: str
) -> None:
    model = model_with(cell)
    for length, batch_size in RAGGED:
        inputs = batch_of(length, batch_size).inputs
        found = solved(model, inputs, FOLLOW[follow])
        assert found.iterations <= length
        error = (joined(found.states) - looped(model, inputs)).abs().max()
        assert error < 1e-12  # 32 roundings a step, of states below 10, over 19 steps
    other = looped(model, batch_of(19, seed=3).inputs)
    assert not torch.allclose(joined(found.states), other, atol=1e-9)


@pytest.mark.parametrize("cell", LINEAR)
def test_a_cell_that_is_linear_takes_one_iteration_and_one_to_see_it(cell: str) -> None:
    assert solved(model_with(cell), batch_of(200).inputs, _parallel.follow).iterations == 2


def nowhere(cell: GatedCell, local: Local, offsets: Tensor, initial: Tensor) -> Tensor:
    return torch.full_like(offsets, torch.nan)


def astray(cell: GatedCell, local: Local, offsets: Tensor, initial: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(len(offsets))
    return 10 * torch.randn(offsets.shape, generator=generator, dtype=offsets.dtype)


def overboard(cell: GatedCell, local: Local, offsets: Tensor, initial: Tensor) -> Tensor:
    return torch.full_like(offsets, 1e300)


@pytest.mark.parametrize("lost", [nowhere, astray, overboard])
@pytest.mark.parametrize("cell", ["elman", "lstm", "lru"])
def test_wherever_the_guess_is_moved_a_step_is_won_with_every_iteration(
    cell: str, lost: _parallel.Follow
) -> None:
    model, inputs = model_with(cell), batch_of(12).inputs
    found = solved(model, inputs, lost)
    assert found.iterations <= 12
    torch.testing.assert_close(joined(found.states), looped(model, inputs), rtol=1e-12, atol=1e-13)
    assert found.iterations > solved(model, inputs, _parallel.follow).iterations


def chaotic(gain: float) -> Model:
    """Return an Elman network whose recurrent weights are Gaussian with the given gain."""
    model = model_with("elman")
    torch.manual_seed(0)
    model.cell = Elman(3, 16).double()
    model.readout = nn.Linear(16, 2).double()
    with torch.no_grad():
        nn.init.normal_(model.cell.rnn.weight_hh_l0, std=gain / 4)
    return model


def test_a_chaotic_network_takes_longer_and_is_as_exact() -> None:
    model, batch = chaotic(4.0), batch_of(30)
    found, calm = (solved(each, batch.inputs, _parallel.follow) for each in (model, chaotic(0.5)))
    growth = apart(model, batch.inputs)
    assert growth > 1e4  # chaos: what is off by a rounding at first is off by this many at last
    assert calm.iterations < found.iterations <= 30
    error = float((joined(found.states) - looped(model, batch.inputs)).abs().max())
    assert error < growth * _newton.ROUNDINGS * 2.3e-16
    exact = gradient_by(FullBPTT(), model, batch)
    for method in (DEER(), QuasiDEER(), ScanBackward()):
        assert relative_error(gradient_by(method, model, batch), exact) < 1e-9


@torch.no_grad()
def apart(model: Model, inputs: Tensor) -> float:
    """Return how much further apart two states are after the inputs than before."""
    ends = []
    for nudge in (0.0, 1e-9):
        state = tuple(part + nudge for part in model.initial_state(inputs.shape[1]))
        ends.append(model.roll(inputs, state)[0][-1])
    return float((ends[1] - ends[0]).norm() / (1e-9 * ends[0].numel() ** 0.5))


def test_where_products_of_jacobians_overflow_every_state_still_follows_from_the_one_before() -> (
    None
):
    model = chaotic(8.0).float()
    inputs = batch_of(200).inputs.float()
    found = solved(model, inputs, _parallel.follow)
    assert found.iterations <= 200
    states = found.states[0]
    with torch.no_grad():
        after = model.cell.advance(inputs.flatten(0, 1), (states[:-1].flatten(0, 1),))[0]
    allowed = 2 * _newton.ROUNDINGS * torch.finfo(torch.float32).eps
    assert float((after.view_as(states[1:]) - states[1:]).abs().max()) < allowed


@pytest.mark.parametrize("method", [ScanBackward, DEER, QuasiDEER])
@pytest.mark.parametrize("cell", GATED)
def test_gradients_are_full_bptt_s_wherever_chunks_end(
    cell: str, method: Callable[..., GradientMethod]
) -> None:
    model = model_with(cell)
    width = model.cell.parts if cell in LINEAR else 5 * model.cell.parts
    for length, batch_size in RAGGED:
        batch = batch_of(length, batch_size)
        exact = gradient_by(FullBPTT(), model, batch)
        one_step = 8 * batch_size * 5 * model.cell.parts * width
        for room in (1, 3 * one_step, 10**9):  # chunks of 1, of 3, and none
            found = gradient_by(method(room), model, batch)
            assert relative_error(found, exact) < 1e-12
    other = gradient_by(method(), model, batch_of(19, 2, seed=3))
    assert relative_error(other, exact) > 1e-2


@pytest.mark.parametrize("method", [ScanBackward, DEER, QuasiDEER, QuasiDEERDiagonal, LinearScan])
@pytest.mark.parametrize("cell", ["gru", "lru"])
@torch.no_grad()
def test_a_window_begins_with_the_state_it_is_given(
    cell: str, method: Callable[..., GradientMethod]
) -> None:
    model, batch = model_with(cell), batch_of(6)
    if method().supports(model):
        pytest.skip("not linear in its state")
    carry = tuple(torch.full_like(part, 0.3) for part in model.initial_state(2))
    _, last = method().gradient(model, batch, carry)
    want = model.roll(batch.inputs, carry)[1]
    torch.testing.assert_close(last, want, rtol=1e-12, atol=1e-13)
    assert not torch.allclose(last[0], model.roll(batch.inputs, model.initial_state(2))[1][0])


@pytest.mark.parametrize("cell", GATED)
def test_quasi_deer_with_a_diagonal_adjoint_has_snap_1_s_gradient(cell: str) -> None:
    model = model_with(cell)
    for length, batch_size in RAGGED:
        batch = batch_of(length, batch_size)
        found = gradient_by(QuasiDEERDiagonal(), model, batch)
        assert relative_error(found, gradient_by(SnAp1(), model, batch)) < 1e-12
    exact = gradient_by(FullBPTT(), model, batch)
    assert (relative_error(found, exact) > 1e-3) == (cell in MIXING and cell != "irnn")


@pytest.mark.parametrize("cell", LINEAR)
def test_a_linear_scan_is_full_bptt(cell: str) -> None:
    model = model_with(cell)
    for length, batch_size in RAGGED:
        batch = batch_of(length, batch_size)
        exact = gradient_by(FullBPTT(), model, batch)
        for chunk in (1, 3, 256):
            assert relative_error(gradient_by(LinearScan(chunk), model, batch), exact) < 1e-14
    other = gradient_by(LinearScan(), model, batch_of(19, 2, seed=3))
    assert relative_error(other, exact) > 1e-2


@pytest.mark.parametrize("cell", MIXING)
def test_a_cell_that_is_not_linear_in_its_state_is_refused_with_a_way_out(cell: str) -> None:
    said = LinearScan().supports(model_with(cell))
    assert said is not None
    assert "`deer`" in said


@torch.no_grad()
def test_a_long_scan_keeps_the_digits_that_sums_of_logarithms_lose() -> None:
    model, batch = model_with("mingru"), batch_of(4096)
    want = looped(model, batch.inputs)
    model, batch = model.float(), batch.to(torch.device("cpu"), torch.float32)
    states = states_of(model.cell, batch, model.initial_state(2), 4096)[0][1:]
    a_z, a_g = model.cell.from_input(batch.inputs).chunk(2, -1)
    summed = nn.functional.logsigmoid(-a_z).cumsum(0)
    positive = torch.where(a_g >= 0, a_g + 0.5, torch.sigmoid(a_g))
    logs = nn.functional.logsigmoid(a_z) + positive.log()
    heinsen = (summed + (logs - summed).logcumsumexp(0)).exp()
    assert float(((states - want) / want).abs().max()) < 1e-5  # of a few hundred roundings
    assert float(((heinsen - want) / want).abs().max()) > 1e-4


METHODS = ["scan_backward", "deer", "quasi_deer", "quasi_deer_diagonal", "linear_scan"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["elman", "lstm", "lru"])
def test_what_is_kept_is_what_theory_says(method: str, cell: str) -> None:
    if method == "linear_scan" and cell not in LINEAR:
        pytest.skip("not linear in its state")
    sizes = {"cell": Choice(cell), "sequence_length": 64, "hidden_size": 16, "batch_size": 8}
    values = memory.measure(rig_of("memory", method, **sizes))
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.1)


def counted_and_theory(method: str, cell: str) -> tuple[Rig, int, float]:
    """Return a rig, the FLOPs that torch counts of one gradient, and those of theory."""
    rig = rig_of("speed", method, cell=Choice(cell), sequence_length=80)
    with FlopCounterMode(display=False) as counter:
        rig.method.gradient(rig.model, rig.batch(), rig.model.initial_state(4))
    theory = rig.theory()
    assert theory is not None
    return rig, counter.get_total_flops(), theory.flops


@pytest.mark.parametrize("cell", LINEAR)
def test_theory_counts_the_products_of_a_linear_scan(cell: str) -> None:
    _, counted, theory = counted_and_theory("linear_scan", cell)
    assert theory == pytest.approx(counted)


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm", "lru"])
@pytest.mark.parametrize("method", ["deer", "quasi_deer", "quasi_deer_diagonal"])
def test_theory_counts_the_products_of_each_iteration(method: str, cell: str) -> None:
    rig, counted, theory = counted_and_theory(method, cell)
    shape, whole = rig.shape(), method == "deer"
    took = solved(rig.model, rig.batch().inputs, FOLLOW["J" if whole else "D"])
    guessed = ITERATIONS if whole else _newton.UNIT_ITERATIONS
    one = _newton.evaluation_flops(shape, 1) - _newton.evaluation_flops(shape, 0)
    theory += (took.evaluated / 80 - guessed) * one
    if whole:
        theory += (took.followed / 80 - guessed + 1) * _parallel.jacobian_flops(shape, 80)
    # A shorter scan is not quite as much shorter a tree.
    assert theory == pytest.approx(counted, rel=0.035)


@pytest.mark.parametrize("method", ["deer", "quasi_deer", "quasi_deer_diagonal"])
def test_theory_s_depth_is_a_scan_for_each_iteration_but_the_last_and_one_back(
    method: str,
) -> None:
    rig = rig_of("speed", method, cell=Choice("lstm"), sequence_length=80)
    follow, scans = FOLLOW["J" if method == "deer" else "D"], []

    def counting(*given: Any) -> Tensor:
        scans.append(1)
        return follow(*given)

    found = solved(rig.model, rig.batch().inputs, counting)
    assert len(scans) == found.iterations - 1  # the last one only sees that all is right
    guessed = ITERATIONS if method == "deer" else _newton.UNIT_ITERATIONS
    theory = rig.theory()
    assert theory is not None
    assert theory.sequential_depth == guessed * scan.depth(80)


def test_the_room_for_jacobians_bounds_the_peak() -> None:
    def peak(room: int) -> int:
        sizes = {"cell": Choice("elman"), "sequence_length": 64, "hidden_size": 32}
        rig = rig_of("memory", "scan_backward", params={"jacobian_bytes": room}, **sizes)
        values = memory.measure(rig)
        return int(values["peak_bytes"] - values["kept_bytes"] - values["static_bytes"])

    whole = 64 * 4 * 32 * 32 * 4  # bytes of all Jacobians: T B S² numbers
    assert 2 * whole < peak(whole) < 5 * whole
    assert peak(whole // 8) < whole


def test_a_room_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        DEER(0)
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        LinearScan(0)


def test_theory_s_depth_grows_with_the_logarithm_of_the_length() -> None:
    def depth(method: str, length: int) -> int:
        params = {"chunk": 1024} if method == "linear_scan" else {}
        sizes = {"cell": Choice("lru"), "sequence_length": length}
        theory = rig_of("speed", method, params=params, **sizes).theory()
        assert theory is not None
        return theory.sequential_depth

    for method in ("linear_scan", "deer", "quasi_deer", "quasi_deer_diagonal"):
        step = depth(method, 512) - depth(method, 256)
        assert depth(method, 1024) - depth(method, 512) == step > 0
    assert depth("scan_backward", 1024) > 1024  # its forward pass is a loop


@pytest.mark.parametrize("length", [1, 2, 7, 8, 33])
def test_a_scan_s_products_and_depth_are_counted(length: int) -> None:
    made: list[str] = []

    class Counting(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func in (torch.matmul, Tensor.matmul, Tensor.__matmul__):
                kind = "apply" if args[1].shape[-1] == 1 else "compose"
                made.extend([kind] * len(args[0]) if args[0].dim() == 3 else [kind])
            return func(*args, **(kwargs or {}))

    with Counting():
        scan.affine_scan(torch.zeros(length, 3, 3), torch.zeros(length, 3), torch.zeros(3))
    assert (made.count("compose"), made.count("apply")) == scan.products(length)
