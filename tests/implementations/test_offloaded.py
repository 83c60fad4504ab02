"""Offloading as far as a CPU shows it: what moves, what stays, and that nothing changes on the way.

A move to the host is then a copy on the same device; on an accelerator the last test looks at its
memory.
"""

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import batch_of, gradient_by, model_of, relative_error
from rigs import REGISTRY, rig_of, trial_of
from torch import Tensor

from harness.measure.memory import measure
from harness.oracle import exact_gradient
from harness.rig import Skipped, build
from harness.trial import Choice
from implementations.gradients import offloaded
from implementations.gradients.offloaded import Offloaded


@pytest.mark.parametrize("cell", EVERY_CELL)
@pytest.mark.parametrize(("chunk", "length"), [(1, 7), (3, 7), (64, 7), (4, 1)])
def test_a_graph_that_has_travelled_gives_the_exact_gradient(
    cell: str, chunk: int, length: int
) -> None:
    model, batch = model_with(cell), batch_of(length)
    got = gradient_by(Offloaded(chunk), model, batch)
    assert relative_error(got, exact_gradient(model, batch).params) < 1e-13  # float64 rounding


def test_what_comes_back_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    come_back = offloaded.back
    monkeypatch.setattr(offloaded, "back", lambda packed: 1.01 * come_back(packed))
    model, batch = model_of("lstm"), batch_of(7)
    got = gradient_by(Offloaded(3), model, batch)
    assert relative_error(got, exact_gradient(model, batch).params) > 1e-3


def test_every_activation_leaves_and_no_weight_does(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[tuple[int, ...]] = []
    leave = offloaded.on_host

    def note(tensor: Tensor) -> Tensor:
        left.append(tuple(tensor.shape))
        return leave(tensor)

    monkeypatch.setattr(offloaded, "on_host", note)
    model, batch = model_of("elman", 7), batch_of(6, 4)
    gradient_by(Offloaded(3), model, batch)
    shapes = {tuple(param.shape) for param in model.parameters()}
    assert not shapes & set(left)
    assert not {shape[::-1] for shape in shapes} & set(left)  # nor transposed
    assert left.count((4, 7)) >= 6  # h of every step


def test_a_copy_on_the_host_is_another_tensor_of_the_same_numbers() -> None:
    tensor = torch.randn(3, 4).T
    copy = offloaded.on_host(tensor)
    assert copy.data_ptr() != tensor.data_ptr()
    assert torch.equal(copy, tensor)
    assert torch.equal(offloaded.back((tensor.device, copy)), tensor)
    assert offloaded.back((None, tensor)) is tensor


def test_on_a_cpu_it_is_skipped_with_the_reason() -> None:
    with pytest.raises(Skipped, match="the model is on the CPU, whose memory is where"):
        rig_of("speed", "offloaded")
    assert Offloaded().supports(model_of("elman").to("meta")) is None


def test_a_chunk_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        Offloaded(0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_device_keeps_next_to_nothing() -> None:
    settings = {"device": "cuda", "hidden_size": 256, "sequence_length": 512}
    away, here = (
        measure(build(trial_of("memory", name, cell=Choice("lstm"), **settings), REGISTRY))
        for name in ("offloaded", "full_bptt")
    )
    assert away["kept_bytes"] < here["kept_bytes"] / 50
    assert away["peak_bytes"] < here["peak_bytes"] / 2
