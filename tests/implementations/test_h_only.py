"""Gates had again from h: the same as kept ones, whatever the chunk, with a tensor a step."""

import pytest
import torch
from problems import CELLS, RAGGED, batch_of, gradient_by, model_of, relative_error
from rigs import rig_of

from harness.contract import GatedCell
from harness.measure import memory
from harness.trial import Choice
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.h_only import HOnly, rebuilt
from implementations.gradients.native import Native


@pytest.mark.parametrize("chunk", [1, 3, 7, 64])
@pytest.mark.parametrize("cell", CELLS)
def test_rebuilt_gates_give_the_gradient_of_kept_ones(cell: str, chunk: int) -> None:
    model = model_of(cell)
    for length, batch_size in RAGGED:
        batch = batch_of(length, batch_size)
        got = gradient_by(HOnly(chunk), model, batch)
        assert relative_error(got, gradient_by(FullBPTT(), model, batch)) < 1e-14
        assert relative_error(got, gradient_by(Native(), model, batch)) < 1e-14


@torch.no_grad()
def test_an_lstm_rebuilt_from_another_c_is_another() -> None:
    model, batch = model_of("lstm"), batch_of(6)
    assert isinstance(model.cell, GatedCell)
    state = tuple(torch.full_like(part, 0.3) for part in model.initial_state(2))
    hidden = torch.stack([state[0], *model.roll(batch.inputs, state)[0][:-1]])
    right = rebuilt(model.cell, batch, state, hidden)
    wrong = rebuilt(model.cell, batch, (state[0], state[1] + 0.1), hidden)
    assert not torch.allclose(right.by_input[-1], wrong.by_input[-1], rtol=1e-6)


def test_a_chunk_of_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        HOnly(0)


@pytest.mark.parametrize("cell", CELLS)
def test_one_tensor_a_step_is_kept(cell: str) -> None:
    sizes = {"cell": Choice(cell), "sequence_length": 96, "hidden_size": 32, "batch_size": 8}
    rig = rig_of("memory", "h_only", **sizes)
    values = memory.measure(rig)
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.1)
    assert values["theory"]["kept_bytes"] < 1.15 * rig.shape().states * rig.shape().item_bytes
