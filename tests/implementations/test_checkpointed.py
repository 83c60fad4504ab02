"""What is special to checkpointing: its operation count and its refusal."""

import pytest
import torch
from problems import batch_of, gradient_by, model_of, relative_error
from torch import Tensor

from harness.contract import State
from harness.model import Model
from harness.oracle import exact_gradient
from implementations.gradients.checkpointed import Checkpointed
from implementations.gradients.full_bptt import FullBPTT


class Counting(Model):
    """Counts the steps forward."""

    steps = 0

    def advance(self, x: Tensor, state: State) -> State:
        self.steps += 1
        return super().advance(x, state)


@pytest.mark.parametrize("segment", [1, 4, 7, 19, 50])
def test_every_step_runs_twice_whatever_the_segment(segment: int) -> None:
    model = model_of("lstm")
    counting = Counting(model.cell, model.task).double()
    gradient_by(Checkpointed(segment), counting, batch_of(19))
    assert counting.steps == 2 * 19


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
@pytest.mark.parametrize("segment", [1, 4, 7, 19, 50])
def test_any_segment_gives_the_exact_gradient(cell: str, segment: int) -> None:
    model, batch = model_of(cell), batch_of(19)
    got = gradient_by(Checkpointed(segment), model, batch)
    assert relative_error(got, exact_gradient(model, batch).params) < 1e-12  # float64 rounding


def test_the_carry_is_the_state_that_full_bptt_leaves() -> None:
    model, batch = model_of("lstm"), batch_of(9)
    start = model.initial_state(2)
    _, got = Checkpointed(4).gradient(model, batch, start)
    _, want = FullBPTT().gradient(model, batch, start)
    torch.testing.assert_close(got, want)


def test_a_segment_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        Checkpointed(0)
