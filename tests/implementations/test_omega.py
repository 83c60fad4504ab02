"""Pascanu's Ω against autograd of the published formula, and what it does to a network."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from mutants import module_of, mutant
from problems import batch_of, gradient_by, model_of, relative_error
from rigs import REGISTRY, rig_of
from torch import Tensor, nn

from harness.check.probe import Probe
from harness.contract import Affine, Batch, Cell, Clip, GatedCell, Gradients, Local, State
from harness.drive import Drive, hook_of
from harness.measure.training import measure
from harness.model import Model
from harness.oracle import unroll
from harness.rig import Skipped
from harness.trial import Choice
from implementations.clips.omega import Omega, term
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.truncated_bptt import TruncatedBPTT

ROUNDING = 1e-12  # float64, some hundred operations
MIXING = [cell for cell in EVERY_CELL if Omega().supports(model_with(cell)) is None]


class LinearRNN(GatedCell):
    """h' = W h + U x."""

    input_map, hidden_map = Affine("u", None), Affine("w", None)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.u = nn.Parameter(torch.randn(hidden_size, input_size))
        self.w = nn.Parameter(torch.linalg.qr(torch.randn(hidden_size, hidden_size).double())[0])

    def gate(self, a: Tensor, u: Tensor | None, state: State) -> State:
        assert u is not None
        return (a + u,)

    def local(self, a: Tensor, u: Tensor | None, state: State) -> Local:
        ones = torch.ones_like(a).unsqueeze(-2).unsqueeze(-2)
        return Local(ones, ones, torch.zeros_like(ones))


def linear_model(scale: float) -> Model:
    torch.manual_seed(0)
    cell: Cell = LinearRNN(3, 5)
    model = Model(cell, Probe()).double()
    with torch.no_grad():
        model.cell.get_parameter("w").mul_(scale)
    return model


def published(model: Model, batch: Batch) -> tuple[Tensor, Gradients]:
    """Return Ω and its direct derivative by W_h, step by step, by autograd of one cell's gate."""
    cell = model.cell
    assert isinstance(cell, GatedCell)
    assert cell.hidden_map is not None
    weight = cell.get_parameter(cell.hidden_map.weight)
    graph = unroll(model, batch)
    deltas = graph.adjoints(0, len(batch), 0)
    before, ratios = model.initial_state(batch.inputs.shape[1]), []
    for x, state, delta in zip(batch.inputs, graph.states, deltas, strict=True):
        u = cell.from_hidden(before[0])
        assert u is not None
        leaves = [u.detach().requires_grad_(), *(p.detach().requires_grad_() for p in before)]
        after = cell.gate(cell.from_input(x), leaves[0], tuple(leaves[1:]))
        by_u, *by_state = torch.autograd.grad(after, leaves, delta, materialize_grads=True)
        back = torch.cat([by_state[0] + by_u @ weight, *by_state[1:]], 1)
        ratios.append(back.norm(dim=1) / torch.cat(delta, 1).norm(dim=1))
        before = tuple(part.detach() for part in state)
    omega = (torch.stack(ratios) - 1).square().mean()
    (found,) = torch.autograd.grad(omega, [weight])
    return omega.detach(), {f"cell.{cell.hidden_map.weight}": found}


def added(model: Model, batch: Batch, clip: Clip) -> Gradients:
    """Return what the clip adds to full BPTT's gradient."""
    plain = gradient_by(FullBPTT(), model, batch)
    pulled = gradient_by(FullBPTT(), model, batch, (clip,))
    return {name: pulled[name] - plain[name] for name in plain}


def error(cell: str, length: int, clip: Clip) -> float:
    """Return how far three times Ω's derivative is from the published one's, relatively."""
    model, batch = model_with(cell), batch_of(length)
    _, want = published(model, batch)
    got = added(model, batch, clip)
    (name,) = want
    found = relative_error({name: got.pop(name)}, {name: 3.0 * want[name]})
    assert not any(grad.any() for grad in got.values())
    return found


@pytest.mark.parametrize("cell", MIXING)
@pytest.mark.parametrize("length", [1, 2, 19])  # the last in two chunks
def test_it_is_the_direct_derivative_of_the_published_formula(cell: str, length: int) -> None:
    assert error(cell, length, Omega(alpha=3.0)) < ROUNDING


STEP = "states.append(cell.gate(a, cell.from_hidden(states[-1][0]), states[-1]))"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("2 * (rho - 1) / rho", "2 * (rho - 1)", id="forget to divide by rho"),
        pytest.param("2 * (rho - 1) / rho", "2 * rho", id="pull towards 0"),
        pytest.param("passed[0] / size", "before[0] / size", id="the state for the message"),
        pytest.param(
            "rho - 1) / rho, 0.0) / size", "rho - 1) / rho, 0.0)", id="in units of the message"
        ),
        pytest.param("torch.cat(parts, -1)", "parts[0]", id="the norm of one part"),
        pytest.param("self.alpha * pull", "pull", id="no alpha"),
        pytest.param(STEP, "states.append(states[-1])", id="stand still"),
        pytest.param(".sum(0) / count", ".sum(0)", id="a sum for the mean"),
    ],
)
def test_it_broken_on_purpose_is_another_derivative(right: str, wrong: str, tmp_path: Path) -> None:
    module = module_of(mutant("clips/omega", right, wrong, tmp_path))
    assert error("lstm", 7, module.Omega(alpha=3.0)) > 1e-3


def test_the_derivative_holds_the_units_own_fixed() -> None:
    """The control: Ω of an Elman RNN differentiated through tanh' as well is something else."""
    model, batch = model_of("elman"), batch_of(4)
    weight = model.cell.get_parameter("rnn.weight_hh_l0")
    graph = unroll(model, batch)
    deltas = [one[0].detach() for one in graph.adjoints(0, 4, 0)]
    ratios = [
        ((1 - state[0].square()) * delta @ weight).norm(dim=1) / delta.norm(dim=1)
        for state, delta in zip(graph.states, deltas, strict=True)
    ]
    (whole,) = torch.autograd.grad((torch.stack(ratios) - 1).square().mean(), [weight])
    omega, want = published(model, batch)
    assert omega == pytest.approx(float((torch.stack(ratios) - 1).square().mean().detach()))
    assert relative_error({"w": whole}, {"w": want["cell.rnn.weight_hh_l0"]}) > 1e-2


@pytest.mark.parametrize(("scale", "omega"), [(1.0, 0.0), (1.1, 0.01), (0.5, 0.25)])
def test_an_orthogonal_linear_rnn_is_not_pulled_and_a_scaled_one_is(
    scale: float, omega: float
) -> None:
    model, batch = linear_model(scale), batch_of(9)
    assert float(published(model, batch)[0]) == pytest.approx(omega, abs=1e-14)
    pull = added(model, batch, Omega())["cell.w"]
    assert pull.norm() < 1e-14 if omega == 0 else pull.norm() > 0.01


def test_descending_it_brings_messages_to_where_they_keep_their_length() -> None:
    model, batch = linear_model(0.5), batch_of(9)
    values = []
    for _ in range(12):
        values.append(float(published(model, batch)[0]))
        pull = added(model, batch, Omega(1.0))["cell.w"]
        with torch.no_grad():
            model.cell.get_parameter("w").sub_(pull)
    assert values[-1] < 0.5 * values[0]
    assert values == sorted(values, reverse=True)


def summed(model: Model, batch: Batch, method: TruncatedBPTT, update: str) -> Tensor:
    """Return what the clip adds over a whole sequence of windows."""
    seen: list[Tensor] = []
    drive = Drive(
        model,
        method,
        (Omega(1.0),),
        update,  # type: ignore[arg-type]  # a literal
        observe=lambda bare, left: seen.append(left["cell.w"] - bare.params["cell.w"]),
    )
    drive.sequence(batch, drive.begin(2, torch.Generator()))
    return torch.stack(seen).sum(0)


def test_windows_of_one_update_are_one_mean_and_updates_have_each_their_own() -> None:
    model, batch = linear_model(0.5), batch_of(9)
    deep = TruncatedBPTT(3, 9)  # the later windows look back beyond their own steps
    once, thrice = (summed(model, batch, deep, update) for update in ("sequence", "window"))
    assert relative_error({"w": thrice}, {"w": 3 * once}) < ROUNDING  # windows of one length


def test_it_sees_only_the_steps_of_the_window_that_it_met() -> None:
    model, batch, clip = linear_model(0.5), batch_of(9), Omega(1.0)
    hook = hook_of((clip,))
    method = TruncatedBPTT(3, 9)
    carry = method.begin(model, 2, torch.Generator())
    for first in (0, 3, 6):
        window = batch.window(first, first + 3)
        clip.meet(model, window)
        _, carry = method.gradient(model, window, carry, hook)
        assert clip.met is not None
        assert sorted(clip.met.messages) == [first, first + 1, first + 2]
    torch.testing.assert_close(clip.last, carry[1])  # its own forward pass follows the method's


LOUD = [(0, 1), (1, 0)]  # step and sequence


def test_faint_and_infinite_messages_are_left_out() -> None:
    model, batch = linear_model(0.5), batch_of(2)
    cell = model.cell
    assert isinstance(cell, GatedCell)
    states = (torch.zeros(2, 2, 5, dtype=torch.float64),)
    messages = torch.randn(2, 2, 5, dtype=torch.float64)
    with torch.no_grad():
        whole = term(cell, batch.inputs, states, (messages,))
        messages[0, 0], messages[1, 1] = 1e-11, torch.inf
        found = term(cell, batch.inputs, states, (messages,))
        rest = [(states[0][t : t + 1, b : b + 1], messages[t : t + 1, b : b + 1]) for t, b in LOUD]
        alone = [term(cell, batch.inputs[:1, :1], (state,), (sent,)) for state, sent in rest]
    assert (int(whole.count), int(found.count)) == (4, 2)
    torch.testing.assert_close(found.weight, alone[0].weight + alone[1].weight)


def test_without_a_window_or_messages_it_changes_nothing() -> None:
    model, batch, clip = linear_model(0.5), batch_of(3), Omega()
    grads: Gradients = {"cell.w": torch.ones(5, 5)}
    params: Mapping[str, Tensor] = {}
    assert clip.params(grads, params) is grads
    clip.meet(model, batch)
    assert clip.params(grads, params) is grads


def test_a_trial_trains_with_it_and_skips_a_cell_without_the_map() -> None:
    clips = (Choice("omega", {"alpha": 0.1}), Choice("norm"))
    short = {"sequences": 4, "evaluations": 1}
    values = measure(rig_of("training", clips=clips, protocol=short))
    assert values["updates"] == 4
    assert values["nonfinite_updates"] == 0
    with pytest.raises(Skipped, match="LayerNormLSTM has no recurrent weight between which"):
        rig_of("speed", clips=clips, cell=Choice("layer_norm_lstm"))
    with pytest.raises(Skipped, match="which SnAp1 does not show"):
        rig_of("speed", "snap1", clips=clips)


def test_a_negative_pull_is_refused() -> None:
    assert any(plugin.key == "clips/omega" for plugin in REGISTRY.plugins)
    with pytest.raises(ValueError, match="at least 0, not -1"):
        Omega(alpha=-1.0)
