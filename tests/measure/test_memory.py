"""Exact bytes: beside theory, beside a tensor whose size is known, and beside nothing at all."""

from dataclasses import replace
from types import ModuleType

import pytest
import torch
from rigs import rig_of

from harness.contract import Shape
from harness.measure import allocator_peaks
from harness.measure.memory import (
    _per_step,
    account,
    batch_bytes,
    disagreements,
    lasting_bytes,
    measure,
)
from harness.trial import Choice
from implementations.gradients.full_bptt import FullBPTT


class WithoutFormula(FullBPTT):
    """Full BPTT that does not say what it costs."""

    def cost(self, shape: Shape) -> None:
        """Return nothing."""


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


def test_static_bytes_are_parameters_gradients_and_two_moments_of_adam() -> None:
    rig = rig_of("memory")
    params = list(rig.model.parameters())
    counters = 4 * len(params)  # Adam counts its steps in one float32 a tensor
    want = 4 * sum(param.nbytes for param in params) + counters
    assert measure(rig)["static_bytes"] == want


def test_what_an_optimizer_keeps_elsewhere_is_not_counted_on_the_device() -> None:
    rig = rig_of("memory")
    optimizer, param = rig.optimizer(0.0), next(rig.model.parameters())
    bare = lasting_bytes(rig, optimizer)
    optimizer.state[param] = {"moment": torch.ones(3), "counter": torch.ones(5, device="meta")}
    assert lasting_bytes(rig, optimizer) == bare + 12


def test_an_accelerators_account_is_of_the_bytes_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a fake whose allocator says in turn what was alive, of 100 bytes that were there before.

    Blocks would be 512 bytes each.
    """
    device, told = ModuleType("torch.fake"), iter((100, 170, 240))
    stats = {"requested_bytes.all.peak": 400, "allocated_bytes.all.peak": 512}
    device.__dict__["memory_stats"] = lambda _: {
        **stats,
        "requested_bytes.all.current": next(told, None) or 0,
    }
    monkeypatch.setattr(torch, "get_device_module", lambda _: device)
    monkeypatch.setattr(torch.accelerator, "reset_peak_memory_stats", lambda _: None)
    rig = rig_of("memory")

    def run() -> None:
        assert rig.model.on_backward is not None
        rig.model.on_backward()  # two backward passes begin
        rig.model.on_backward()

    found = allocator_peaks.traced(rig, run)
    assert (found.kept_bytes, found.peak_bytes) == (140, 300)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("gradient", "params"), CASES[:4], ids=str)
def test_kept_bytes_on_a_gpu_are_what_theory_says(gradient: str, params: dict[str, int]) -> None:
    settings = {"cell": Choice("elman"), "hidden_size": 64, "dtype": "float64", "device": "cuda"}
    rig = rig_of("memory", gradient, params=params, **settings)
    values = measure(rig)
    slack = 0.01 * values["theory"]["kept_bytes"] + rig.shape().state_bytes
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], abs=slack)
    assert values["static_bytes"] == values["theory_static_bytes"]
    assert values["peak_bytes"] == pytest.approx(values["theory_peak_bytes"], rel=0.5)
    assert values["peak_bytes"] <= values["allocated_peak_bytes"] <= values["reserved_peak_bytes"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("cell", "fused"), [("gru", 13), ("lstm", 15)])
def test_a_step_that_torch_fuses_on_a_gpu_keeps_more_and_is_flagged(cell: str, fused: int) -> None:
    """Its kernel keeps the products that went in beside the gates: so many (B, H) tensors."""
    settings = {"cell": Choice(cell), "hidden_size": 64, "dtype": "float64", "device": "cuda"}
    rig = rig_of("memory", **settings)
    values = measure(rig)
    assert values["kept_bytes"] == pytest.approx(fused * 24 * 4 * 64 * 8, rel=0.05)
    assert any(said.startswith("kept for backward: 1.") for said in values["flags"])


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


@pytest.mark.parametrize("length", [9, 48])
def test_a_step_more_adds_what_theory_says(length: int) -> None:
    values = measure(rig_of("memory", dtype="float64", hidden_size=32, sequence_length=length))
    want = values["theory_kept_bytes_per_step"]
    assert values["kept_bytes_per_step"] == pytest.approx(want, rel=0.01)
    batch = 8 * 4 * (2 + 1 + 1)  # of a step: B = 4; two inputs, one target, one weight
    assert values["peak_bytes_per_step"] > want + batch


def test_a_truncated_method_keeps_nothing_more_for_a_step_more() -> None:
    params = {"stride": 8, "depth": 8}
    values = measure(rig_of("memory", "truncated_bptt", params=params, sequence_length=96))
    assert values["theory_kept_bytes_per_step"] == 0
    assert values["kept_bytes_per_step"] < 0.01 * values["kept_bytes"] / 8


def test_a_method_without_a_formula_stands_beside_no_theory_and_has_no_flag_for_it() -> None:
    rig = replace(rig_of("memory"), method=WithoutFormula())
    values = measure(rig)
    names = [name for name in values if name.startswith("theory") and "static" not in name]
    assert [values[name] for name in names] == [None] * len(names)
    assert values["flags"] == []


def test_the_half_that_growth_is_told_from_is_kept() -> None:
    values = measure(rig_of("memory", sequence_length=25))
    half = values["half"]
    assert half["length"] == 12
    for name in ("kept_bytes", "peak_bytes"):
        assert values[f"{name}_per_step"] == (values[name] - half[name]) / 13


def test_one_step_has_no_half_to_grow_from() -> None:
    rig = rig_of("memory")
    optimizer, step = rig.optimizer(0.0), rig.batch().window(0, 1)
    whole = account(rig, optimizer, step)
    assert whole.kept > 0
    assert set(_per_step(rig, optimizer, step, whole, rig.theory()).values()) == {None}


def test_a_figure_and_its_theory_that_are_apart_are_flagged_and_others_are_not() -> None:
    values = measure(rig_of("memory", hidden_size=32, sequence_length=96, dtype="float64"))
    assert values["flags"] == disagreements(values) == []
    doubled = {**values, "kept_bytes": 2 * values["kept_bytes"]}
    assert disagreements(doubled)[0] == "kept for backward: 2.00 times what theory says"


def test_a_fused_lstm_in_float32_is_flagged() -> None:
    flags = measure(rig_of("memory", "native", hidden_size=32))["flags"]
    assert any(flag.startswith("kept for backward") for flag in flags)
