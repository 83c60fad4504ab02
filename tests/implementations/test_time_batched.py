"""The backward pass by hand: what hooks see and change is what autograd would show."""

import pytest
import torch
from problems import CELLS, batch_of, gradient_by, model_of, relative_error
from rigs import rig_of

from harness.contract import Clip, State
from harness.measure import memory
from harness.trial import Choice
from implementations.gradients.full_bptt import FullBPTT
from implementations.gradients.time_batched import CHUNK, TimeBatched


class Uneven(Clip):
    """Scales each part and step of the message differently, and notes what it saw."""

    uses_hidden = True

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def hidden(self, t: int, grads: State) -> State:
        self.seen.append((t, float(sum(grad.square().sum() for grad in grads))))
        return tuple(grad * (0.9 + 0.05 * part + 0.01 * (t % 3)) for part, grad in enumerate(grads))


@pytest.mark.parametrize("cell", CELLS)
def test_a_hook_sees_and_changes_the_same_messages_as_under_autograd(cell: str) -> None:
    model, batch, (mine, theirs) = model_of(cell), batch_of(9), (Uneven(), Uneven())
    got = gradient_by(TimeBatched(), model, batch, (mine,))
    want = gradient_by(FullBPTT(), model, batch, (theirs,))
    assert relative_error(got, want) < 1e-14
    assert [t for t, _ in mine.seen] == [t for t, _ in theirs.seen]
    assert [size for _, size in mine.seen] == pytest.approx([size for _, size in theirs.seen])
    assert relative_error(got, gradient_by(FullBPTT(), model, batch)) > 1e-3


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1])
def test_chunks_of_derivatives_meet_without_a_seam(length: int) -> None:
    model, batch = model_of("lstm"), batch_of(length)
    exact = gradient_by(FullBPTT(), model, batch)
    assert relative_error(gradient_by(TimeBatched(), model, batch), exact) < 1e-13


def test_no_graph_of_the_cell_is_made() -> None:
    model, batch = model_of("gru"), batch_of(5)
    gradient, carry = TimeBatched().gradient(model, batch, model.initial_state(2))
    tensors = [*gradient.params.values(), *carry]
    assert not any(tensor.requires_grad for tensor in tensors)
    assert all(torch.isfinite(tensor).all() for tensor in tensors)


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_kept_is_what_theory_says(cell: str) -> None:
    sizes = {"cell": Choice(cell), "sequence_length": 96, "hidden_size": 32, "batch_size": 8}
    values = memory.measure(rig_of("memory", "time_batched", **sizes))
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.1)
