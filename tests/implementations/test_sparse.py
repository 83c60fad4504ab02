"""Sparse recurrent weights: they begin so, a clip keeps them so, and SnAp follows their graph."""

import pytest
import torch
from problems import batch_of, gradient_by, relative_error

from harness.check.probe import Probe
from harness.contract import Clip
from harness.drive import Drive
from harness.model import Model
from harness.oracle import exact_gradient
from implementations.cells.elman import Elman
from implementations.clips.keep_zeros import KeepZeros
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.snap import SnAp, listed, reach


def sparse(density: float = 0.2) -> Model:
    torch.manual_seed(1)
    return Model(Elman(3, 20, density=density), Probe()).double()


def recurrent(model: Model) -> torch.Tensor:
    return model.cell.get_parameter("rnn.weight_hh_l0").detach()


def trained(clips: tuple[Clip, ...]) -> Model:
    model = sparse()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    drive = Drive(model, FullBPTT(), clips, optimizer=optimizer)
    for seed in range(3):
        drive.sequence(batch_of(5, seed=seed), drive.begin(2, torch.Generator()))
    return model


def test_density_is_the_share_of_weights_that_do_not_begin_at_0_and_keeps_their_sums_spread() -> (
    None
):
    assert float((recurrent(sparse()) != 0).double().mean()) == 0.2
    spread = [float(recurrent(sparse(density)).square().mean()) for density in (1.0, 0.2)]
    assert spread[1] == pytest.approx(spread[0], rel=0.2)  # 80 draws: 10 % is one standard error


def test_keep_zeros_keeps_them_in_training_and_without_it_they_fill() -> None:
    began = recurrent(sparse())
    kept = recurrent(trained((KeepZeros(),)))
    assert torch.equal(kept != 0, began != 0)
    assert not torch.equal(kept, began)
    assert float((recurrent(trained(())) != 0).double().mean()) == 1.0


def test_density_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="density must be above 0"):
        Elman(3, 4, density=0.0)


def test_reach_is_the_distance_along_recurrent_weights() -> None:
    cell = Elman(1, 4)
    with torch.no_grad():  # a ring: unit 0 feeds 1, which feeds 2, ...
        cell.rnn.weight_hh_l0.copy_(torch.eye(4).roll(1, 0))
    for order in (1, 2, 3, 4, 9):
        steps = (torch.arange(4)[:, None] - torch.arange(4)) % 4  # from column to row
        assert torch.equal(reach(cell, order), steps < order)


def test_the_units_in_reach_are_listed_with_the_own_one_first() -> None:
    found = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 1]], dtype=torch.bool)
    units, within = listed(found)
    assert units[:, 0].tolist() == [0, 1, 2]
    assert within.tolist() == [[True, True, True], [True, False, False], [True, False, False]]
    assert sorted(units[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize(("order", "claim"), [(1, "biased"), (2, "biased"), (3, "exact")])
def test_snap_is_exact_where_nothing_lies_beyond_its_reach_though_much_is_apart(
    order: int, claim: str
) -> None:
    torch.manual_seed(1)
    model, batch = Model(Elman(3, 5), Probe()).double(), batch_of(7)
    with torch.no_grad():  # unit 0 feeds 1, which feeds 2; 3 and 4 are alone
        model.cell.get_parameter("rnn.weight_hh_l0").copy_(torch.zeros(5, 5))
        model.cell.get_parameter("rnn.weight_hh_l0")[[1, 2], [0, 1]] = 0.9
    method = SnAp(order)
    assert method.claim(7, model.cell) == claim
    error = relative_error(gradient_by(method, model, batch), exact_gradient(model, batch).params)
    assert error < 1e-13 if claim == "exact" else error > 1e-3  # rounding; a path left out
