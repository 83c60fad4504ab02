"""How recurrent weights and gates begin is what was asked for."""

import math

import pytest
import torch
from rigs import REGISTRY
from torch import Tensor

from harness.contract import Cell
from harness.trial import Choice

RECURRENT = {
    "elman": "rnn.weight_hh_l0",
    "irnn": "rnn.weight_hh_l0",
    "leaky": "recurrent.weight",
    "gru": "rnn.weight_hh_l0",
    "lstm": "rnn.weight_hh_l0",
    "layer_norm_lstm": "recurrent.weight",
}


def cell_of(name: str, **params: object) -> Cell:
    torch.manual_seed(0)
    cell = REGISTRY.build("cells", Choice(name, params), 3, 6)
    assert isinstance(cell, Cell)
    return cell


def blocks_of(name: str, recurrent: str) -> tuple[Tensor, ...]:
    weight = cell_of(name, recurrent=recurrent).get_parameter(RECURRENT[name]).detach()
    return weight.split(6)


@pytest.mark.parametrize("name", RECURRENT)
def test_every_block_of_recurrent_weights_begins_as_asked(name: str) -> None:
    for block in blocks_of(name, "identity"):
        assert torch.equal(block, torch.eye(6))
    for block in blocks_of(name, "orthogonal"):
        torch.testing.assert_close(block @ block.T, torch.eye(6), rtol=0, atol=1e-5)
        assert not torch.allclose(block, torch.eye(6), atol=0.1)
    for block in blocks_of(name, "uniform"):  # torch's, within 1/√H
        assert block.abs().max() <= 1 / math.sqrt(6)
        assert not torch.allclose(block @ block.T, torch.eye(6), atol=0.1)


def test_an_irnn_s_start_is_scaled_whatever_it_is() -> None:
    cell = cell_of("irnn", recurrent="orthogonal", scale=0.5)
    weight = cell.get_parameter(RECURRENT["irnn"]).detach()
    torch.testing.assert_close(weight @ weight.T, 0.25 * torch.eye(6), rtol=0, atol=1e-5)


def test_chrono_biases_spread_memories_up_to_the_longest() -> None:
    bias = cell_of("lstm", longest_memory=50).get_parameter("rnn.bias_ih_l0").detach()
    i, f, _, _ = bias.chunk(4)
    assert torch.equal(i, -f)
    assert f.min() >= 0
    assert f.max() <= math.log(49)
