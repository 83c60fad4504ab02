"""The depth of a truncation against closed forms, the oracle's messages and its own definition."""

import math
from itertools import pairwise

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import batch_of, gradient_by, model_of, relative_error
from rigs import rig_of
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from harness import derivative
from harness.contract import Batch
from harness.measure.memory import measure
from harness.oracle import exact_gradient, kept_gradient, unroll
from implementations.gradients.adaptive_truncation import (
    AdaptiveTruncation,
    bounds,
    loss_step,
    profile,
)

ROUNDING = 1e-12  # float64, some hundred operations


def decaying(rate: float, lags: int = 128, sign: float = 1.0) -> Tensor:
    """Return messages of norm βᵏ, all in one direction or in turn in the opposite one."""
    powers = (sign * rate) ** torch.arange(lags, dtype=torch.float64)
    return powers.view(-1, 1, 1) * torch.tensor([[[0.6, 0.8]]], dtype=torch.float64)


@pytest.mark.parametrize("onset", [0, 8, 60])
@pytest.mark.parametrize(
    ("rate", "bias", "K"), [(0.9, 0.1, 23), (0.95, 0.1, 47), (0.99, 0.5, 110), (0.5, 0.01, 7)]
)
def test_the_depth_of_a_geometric_decay_is_the_closed_form(
    rate: float, bias: float, K: int, onset: int
) -> None:
    assert math.ceil(math.log(bias / (1 + bias)) / math.log(rate)) == K
    assert AdaptiveTruncation(bias, onset=onset).depth(decaying(rate)) == K


def test_messages_that_cancel_are_cut_later() -> None:
    method = AdaptiveTruncation(0.1)
    assert method.depth(decaying(0.9, sign=-1.0)) > method.depth(decaying(0.9)) + 10


def test_a_scale_changes_nothing_and_a_tighter_bias_deepens() -> None:
    messages = decaying(0.9)
    assert AdaptiveTruncation(0.1).depth(1e-30 * messages) == 23
    depths = [AdaptiveTruncation(bias).depth(messages) for bias in (0.5, 0.1, 0.02)]
    assert depths == sorted(set(depths))


def test_a_bound_is_the_sum_of_all_later_lags() -> None:
    sizes = [3.0, 1.0, 2.0, *(0.8**k for k in range(40))]  # geometric from lag 3 on
    later = [sum(sizes[k:]) + 0.8**40 / 0.2 for k in range(len(sizes) + 1)]
    assert bounds(sizes, 3)[:20] == pytest.approx(later[:20], rel=0.02)  # the slope is fitted
    assert all(one > two for one, two in pairwise(bounds(sizes, 3)))


@pytest.mark.parametrize(
    "messages", [decaying(1.0), decaying(1.1), decaying(0.9, 9), torch.zeros(50, 2, 3)], ids=str
)
def test_where_no_bound_shows_the_depth_is_the_longest(messages: Tensor) -> None:
    assert AdaptiveTruncation().depth(messages) == 128


@pytest.mark.parametrize("lags", [1, 3, 4, 5])  # so few from the onset on that none is fitted
def test_messages_that_end_are_cut_where_they_end(lags: int) -> None:
    messages = decaying(0.9)
    messages[lags:] = 0.0
    assert AdaptiveTruncation(bias=1e-6, onset=4).depth(messages) == lags


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_the_messages_are_those_of_the_oracle(cell: str) -> None:
    model, batch = model_with(cell), batch_of(9)
    found = profile(model, batch, model.initial_state(2), 6, torch.Generator().manual_seed(0))
    graph = unroll(model, batch)
    wants = [  # whichever of the steps with 6 behind them was drawn
        torch.stack([derivative.join(one) for one in graph.adjoints(s, s + 1, s - 5)]).flip(0)
        for s in range(5, 9)
    ]
    assert sum(torch.allclose(found, want, rtol=1e-12, atol=0.0) for want in wants) == 1


def test_the_step_is_drawn_by_weight_among_those_that_reach_back() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([[0.4], [0.0], [0.1], [0.3], [0.2]])
    steps = [loss_step(weights, 3, generator) for _ in range(600)]
    for step, share in ((2, 1 / 6), (3, 1 / 2), (4, 1 / 3)):
        assert steps.count(step) / 600 == pytest.approx(share, abs=4 * (share / 600) ** 0.5)
    assert set(steps) == {2, 3, 4}
    early = torch.tensor([[0.4], [0.6], [0.0], [0.0], [0.0]])
    assert loss_step(early, 3, generator) == 1  # none reaches back: the last that has a weight
    assert loss_step(torch.zeros(5, 1), 3, generator) == 4


def contracting(batch: Batch, recurrence: float) -> tuple[AdaptiveTruncation, float]:
    """Return the method after one sequence of an RNN that forgets so fast, and its error."""
    model = model_of("elman")
    with torch.no_grad():
        weight = model.cell.get_parameter("rnn.weight_hh_l0")
        weight.copy_(recurrence * torch.linalg.qr(weight)[0])
    method = AdaptiveTruncation(bias=0.05, longest=40, onset=2)
    got = gradient_by(method, model, batch)
    want = kept_gradient(model, batch, method.keeps(len(batch))).params
    assert relative_error(got, want) < ROUNDING
    return method, relative_error(got, exact_gradient(model, batch).params)


def test_what_forgets_faster_is_cut_earlier_and_the_bias_stays_small() -> None:
    batch = batch_of(60)
    (short, one), (long, other) = (contracting(batch, factor) for factor in (0.3, 0.8))
    assert 1 < short.truncation.stride < long.truncation.stride < 40
    assert max(one, other) < 0.05


def test_every_loss_keeps_at_least_as_many_lags_as_were_found() -> None:
    method, _ = contracting(batch_of(37), 0.5)
    K = method.truncation.stride
    for first, _, back in method.keeps(37):
        assert first - back >= min(K - 1, first)


def test_the_depth_is_found_again_every_so_many_sequences() -> None:
    model, batch = model_of("elman"), batch_of(30)
    method = AdaptiveTruncation(bias=0.1, longest=25, onset=2, every=2)
    found = []
    for factor in (1.0, 0.2, 1.0):
        with torch.no_grad():
            model.cell.get_parameter("rnn.weight_hh_l0").mul_(factor)
        gradient_by(method, model, batch)
        found.append(method.truncation.stride)
    assert found[0] == found[1] > found[2]


def test_a_sequence_too_short_to_show_a_decay_is_not_cut() -> None:
    model, batch = model_of("lstm"), batch_of(9)
    method = AdaptiveTruncation(longest=10, onset=8)
    assert method.claim(9, model.cell) == "exact"
    got = gradient_by(method, model, batch)
    assert relative_error(got, exact_gradient(model, batch).params) < ROUNDING
    assert method.claim(10, model.cell) == "biased"


def test_flops_are_those_that_torch_counts() -> None:
    rig = rig_of("speed", "adaptive_truncation", params={"every": 1}, sequence_length=80)
    with FlopCounterMode(display=False) as counter:
        rig.drive().sequence(rig.batch(), rig.drive().begin(4, rig.generator("method")))
    theory = rig.theory()
    assert theory is not None
    assert theory.flops == pytest.approx(counter.get_total_flops(), rel=0.04)


def test_kept_bytes_are_those_of_the_truncation_that_was_found() -> None:
    settings = {"hidden_size": 32, "dtype": "float64", "sequence_length": 60}
    rig = rig_of("memory", "adaptive_truncation", params={"bias": 0.9}, **settings)
    values = measure(rig)
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.03)


@pytest.mark.parametrize(
    "params", [{"bias": 0.0}, {"longest": 9}, {"onset": -1}, {"every": 0}], ids=str
)
def test_impossible_parameters_are_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AdaptiveTruncation(**params)  # type: ignore[arg-type]  # wrong on purpose
