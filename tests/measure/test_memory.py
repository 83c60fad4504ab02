"""Exact bytes: beside theory, beside a tensor whose size is known, and beside nothing at all."""

import pytest
import torch
from rigs import rig_of

from harness.measure.memory import batch_bytes, measure, trace_cpu
from harness.trial import Choice

CASES = [
    ("full_bptt", {}),
    ("truncated_bptt", {"stride": 8, "depth": 8}),
    ("truncated_bptt", {"stride": 8, "depth": 16}),
    ("checkpointed", {"segment": 8}),
    ("native", {}),
]


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
@pytest.mark.parametrize(("gradient", "params"), CASES, ids=str)
def test_kept_bytes_are_what_theory_says(cell: str, gradient: str, params: dict[str, int]) -> None:
    settings = {"cell": Choice(cell), "hidden_size": 32, "dtype": "float64"}
    rig = rig_of("memory", gradient, params=params, **settings)
    values = measure(rig)
    # The losses' scalars are in no formula: under 1 %. The shape checker, which wraps functions
    # under pytest alone, holds on to one more state.
    slack = 0.01 * values["theory"]["kept_bytes"] + rig.shape().state_bytes
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], abs=slack)


def test_a_fused_lstm_in_float32_keeps_about_twice_what_it_would_have_to() -> None:
    values = measure(rig_of("memory", "native", hidden_size=32))  # oneDNN's workspace
    assert 1.5 < values["kept_bytes"] / values["theory"]["kept_bytes"] < 3


def test_a_tensor_of_known_size_is_counted_exactly() -> None:
    rig = rig_of("memory")

    def sequence() -> None:
        held = torch.empty(1000, dtype=torch.float64)
        del held
        torch.empty(500, dtype=torch.float64)

    traced = trace_cpu(rig, sequence)
    assert traced.peak_bytes == 8000
    assert traced.kept_bytes == 0


def test_static_bytes_are_parameters_gradients_and_two_moments_of_adam() -> None:
    rig = rig_of("memory")
    params = list(rig.model.parameters())
    counters = 4 * len(params)  # Adam counts its steps in one float32 a tensor
    want = 4 * sum(param.nbytes for param in params) + counters
    assert measure(rig)["static_bytes"] == want


def test_the_peak_holds_everything_that_is_kept() -> None:
    rig = rig_of("memory")
    values = measure(rig)
    least = values["static_bytes"] + values["batch_bytes"] + values["kept_bytes"]
    assert least <= values["peak_bytes"] < 2 * least


def test_batch_bytes_are_those_of_its_three_tensors() -> None:
    batch = rig_of("memory").batch()  # T = 24, B = 4; two inputs, one target, one weight
    assert batch_bytes(batch) == 4 * 24 * 4 * (2 + 1 + 1)


def test_twice_the_length_keeps_twice_the_bytes_of_full_bptt_and_the_same_of_truncated() -> None:
    def kept(gradient: str, length: int) -> int:
        params = {"stride": 8, "depth": 8} if gradient == "truncated_bptt" else {}
        rig = rig_of("memory", gradient, params=params, sequence_length=length)
        return int(measure(rig)["kept_bytes"])

    assert kept("full_bptt", 96) / kept("full_bptt", 48) == pytest.approx(2, rel=0.01)
    assert kept("truncated_bptt", 96) == pytest.approx(kept("truncated_bptt", 48), rel=0.02)
