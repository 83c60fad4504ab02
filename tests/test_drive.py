"""The one order of begin, window, hook, clip, update."""

import copy
from collections.abc import Mapping

import pytest
import torch
from problems import batch_of, flat, gradient_by, model_of
from torch import Tensor

from harness.contract import Batch, Clip, Gradients, State
from harness.drive import Drive, windows
from harness.model import Model
from harness.oracle import exact_gradient
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.truncated_bptt import TruncatedBPTT


class Halve(Clip):
    """A clip whose effect is easy to tell from none and from itself twice."""

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        return {name: grad / 2 for name, grad in grads.items()}


class Silence(Clip):
    """Lets no message travel back."""

    uses_hidden = True

    def hidden(self, t: int, grads: State) -> State:
        return tuple(torch.zeros_like(part) for part in grads)


@pytest.mark.parametrize(
    ("stride", "lengths"), [(None, [10]), (4, [4, 4, 2]), (5, [5, 5]), (99, [10])]
)
def test_windows_cover_every_step_once(stride: int | None, lengths: list[int]) -> None:
    batch = batch_of(10)
    found = list(windows(batch, stride))
    assert [len(window) for window in found] == lengths
    assert [window.start for window in found] == [sum(lengths[:i]) for i in range(len(lengths))]
    assert torch.equal(torch.cat([window.inputs for window in found]), batch.inputs)
    assert torch.equal(torch.cat([window.weights for window in found]), batch.weights)


def test_the_clip_acts_before_the_update() -> None:
    model, batch = model_of(), batch_of(6)
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    want = exact_gradient(model, batch).params
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    drive = Drive(model, FullBPTT(), (Halve(),), "sequence", optimizer)
    drive.sequence(batch, drive.begin(2, torch.Generator()))
    for name, param in model.named_parameters():
        torch.testing.assert_close(param.detach(), before[name] - 0.1 * want[name] / 2)


def test_clips_act_in_the_order_given() -> None:
    class AddOne(Clip):
        def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
            return {name: grad + 1 for name, grad in grads.items()}

    model, batch = model_of(), batch_of(6)
    plain = flat(gradient_by(FullBPTT(), model, batch))
    got = flat(gradient_by(FullBPTT(), model, batch, (AddOne(), Halve())))
    torch.testing.assert_close(got, (plain + 1) / 2)


@pytest.mark.parametrize(("update", "updates"), [("window", 3), ("sequence", 1)])
def test_parameters_move_as_often_as_the_trial_says(update: str, updates: int) -> None:
    model, batch = model_of(), batch_of(10)
    seen: list[int] = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    method = TruncatedBPTT(stride=4, depth=4)
    drive = Drive(model, method, (), update, optimizer, lambda *_: seen.append(1))  # type: ignore[arg-type]
    drive.sequence(batch, drive.begin(2, torch.Generator()))
    assert len(seen) == updates


def test_the_losses_of_windows_add_up_to_the_sequence_loss() -> None:
    model, batch = model_of(), batch_of(10)
    whole = exact_gradient(model, batch).loss
    drive = Drive(model, TruncatedBPTT(stride=4, depth=4))
    loss, _ = drive.sequence(batch, drive.begin(2, torch.Generator()))
    torch.testing.assert_close(loss, whole)


def test_a_hook_that_silences_every_message_leaves_only_the_readout_gradient() -> None:
    model, batch = model_of(), batch_of(6)
    got = gradient_by(FullBPTT(), model, batch, (Silence(),))
    assert all(not grad.any() for name, grad in got.items() if name.startswith("cell."))
    want = exact_gradient(model, batch).params["readout.weight"]
    torch.testing.assert_close(got["readout.weight"], want)


class Skip(Clip):
    """Leaves every gradient out once it is told to."""

    def __init__(self) -> None:
        self.skips = False

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        return {} if self.skips else grads


class Count(Clip):
    """Counts the updates that it is asked about."""

    def __init__(self) -> None:
        self.updates = 0

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        self.updates += 1
        return grads


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD], ids=["adam", "sgd"])
def test_an_update_that_a_clip_leaves_out_moves_nothing(make: type[torch.optim.Optimizer]) -> None:
    model, batch, skip, later = model_of(), batch_of(6), Skip(), Count()
    momentum = {"momentum": 0.9} if make is torch.optim.SGD else {}
    optimizer = make(model.parameters(), lr=0.1, **momentum)  # type: ignore[call-arg]
    seen: list[Gradients] = []
    drive = Drive(
        model,
        FullBPTT(),
        (skip, later),
        optimizer=optimizer,
        observe=lambda _, left: seen.append(left),
    )

    def moved() -> tuple[bool, bool]:
        before = copy.deepcopy((model.state_dict(), optimizer.state_dict()["state"]))
        drive.sequence(batch, drive.begin(2, torch.Generator()))
        weights, state = model.state_dict(), optimizer.state_dict()["state"]
        parts = [
            torch.equal(state[index][name], old)
            for index, one in before[1].items()
            for name, old in one.items()
        ]
        same = all(torch.equal(weights[name], old) for name, old in before[0].items())
        return not same, not all(parts)

    moved()  # gives the optimizer a momentum that could move the parameters later
    assert moved() == (True, True)
    skip.skips = True
    assert moved() == (False, False)
    assert later.updates == 2  # clips that follow are not asked about what is no update
    assert not flat(seen[-1]).any()  # seen as zeros
    assert flat(seen[-2]).any()


def test_a_parameter_that_a_clip_leaves_out_stays_while_the_others_move() -> None:
    class LeaveOut(Clip):
        def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
            return {name: grad for name, grad in grads.items() if name != "readout.bias"}

    model, batch = model_of(), batch_of(6)
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    drive = Drive(model, FullBPTT(), (LeaveOut(),), "sequence", optimizer)
    drive.sequence(batch, drive.begin(2, torch.Generator()))
    stays = {name for name, param in model.named_parameters() if torch.equal(param, before[name])}
    assert stays == {"readout.bias"}


class Note(Clip):
    """Writes down what it hears of, in order."""

    uses_hidden = True

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    def meet(self, model: Model, window: Batch) -> None:
        self.heard.append(("window", window.start))

    def hidden(self, t: int, grads: State) -> State:
        self.heard.append(("hidden", t))
        return grads

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        self.heard.append(("params", -1))
        return grads


def test_a_clip_meets_a_window_before_its_hidden_gradients_and_those_before_the_parameters() -> (
    None
):
    model, batch, note = model_of(), batch_of(3), Note()
    drive = Drive(model, TruncatedBPTT(2, 2), (note,), "window")
    drive.sequence(batch, drive.begin(2, torch.Generator()))
    first = [("window", 0), ("hidden", 1), ("hidden", 0), ("params", -1)]
    # The last window is one step long and goes back through two.
    assert note.heard == [*first, ("window", 2), ("hidden", 2), ("hidden", 1), ("params", -1)]
