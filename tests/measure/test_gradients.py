"""How right a gradient is said to be: on gradients whose errors are known."""

import math

import numpy as np
import pytest
import torch
from rigs import rig_of

from harness.measure.gradients import (
    agreement,
    compare,
    half_life,
    horizon,
    judge,
    lag_profile,
    measure,
)
from harness.trial import Choice


def test_a_turned_and_stretched_gradient_is_described_as_such() -> None:
    found = compare({"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([1.0, 0.0])})
    assert found == {
        "relative_error": pytest.approx(math.sqrt(5)),
        "cosine": pytest.approx(0.0),
        "norm_ratio": pytest.approx(2.0),
    }


def test_nothing_compared_with_nothing_has_no_direction() -> None:
    zero = {"w": torch.zeros(3)}
    assert compare(zero, zero) == {"relative_error": 0.0, "cosine": None, "norm_ratio": None}


@pytest.mark.parametrize("gradient", ["full_bptt", "native", "checkpointed"])
def test_an_exact_method_agrees_with_the_oracle(gradient: str) -> None:
    values = measure(rig_of("gradients", gradient))
    assert values["claim"] == "exact"
    assert values["agrees"] is True
    assert values["relative_error"] < 1e-12
    assert values["dtype_relative_error"] < 1e-4  # float32, T under 1000
    assert values["dtype_relative_error"] > values["relative_error"]
    assert values["reach"] == 23


def test_a_truncated_method_is_biased_and_agrees_with_its_own_definition() -> None:
    params = {"stride": 4, "depth": 8}
    values = measure(rig_of("gradients", "truncated_bptt", params=params))
    assert values["claim"] == "biased"
    assert values["relative_error"] > 1e-3
    assert values["definition_error"] < 1e-12
    assert values["agrees"] is True
    assert values["reach"] == 7


def test_a_clip_shortens_what_is_applied_and_leaves_the_method_exact() -> None:
    clip = (Choice("norm", {"max_norm": 0.01}),)
    values = measure(rig_of("gradients", "full_bptt", clip))
    assert values["relative_error"] < 1e-12
    assert values["applied"]["cosine"] == pytest.approx(1.0)
    assert values["applied"]["norm_ratio"] * values["exact_norm"] == pytest.approx(0.01, rel=1e-3)


def test_a_clip_of_windows_is_applied_window_by_window() -> None:
    clip, params = (Choice("norm", {"max_norm": 0.05}),), {"stride": 8, "depth": 8}
    by_window, by_sequence = (
        measure(rig_of("gradients", "truncated_bptt", clip, params, task=Choice("copy"), update=u))
        for u in ("window", "sequence")
    )
    limits = [v["applied"]["norm_ratio"] * v["exact_norm"] for v in (by_window, by_sequence)]
    assert limits[1] == pytest.approx(0.05, rel=1e-3)
    assert 0.05 < limits[0] <= 3 * 0.05  # three windows, each at most as long as the bound


def test_a_kernel_that_is_wrong_in_float32_alone_disagrees() -> None:
    rig = rig_of("gradients")
    assert agreement(rig, 1e-15, 1e-6) is True
    assert agreement(rig, 1e-15, 1e-3) is False
    assert agreement(rig, 1e-6, 1e-6) is False
    assert agreement(rig, None, 1e-3) is None


def test_the_profile_of_a_geometric_decay_has_its_closed_form_horizon() -> None:
    profile = 0.9 ** np.arange(200)
    # what is left after k lags is 0.9^k of the whole: 0.9^22 < 0.1 < 0.9^21
    assert horizon(profile, 0.1) == 22
    assert horizon(profile, 0.01) == 44


@pytest.mark.parametrize(("decay", "lags"), [(0.9, 7), (0.5, 1), (0.99, 69), (1.0, None)])
def test_the_half_life_of_a_geometric_decay_is_ln_2_over_its_rate(
    decay: float, lags: int | None
) -> None:
    assert half_life(decay ** np.arange(200)) == lags  # ⌈ln 2 / −ln 0.9⌉ = ⌈6.58⌉


def test_what_rises_first_is_halved_when_it_is_half_of_what_it_was_at_the_loss() -> None:
    assert half_life(np.array([1.0, 3.0, 1.0, 0.4])) == 3
    assert half_life(np.zeros(3)) is None


def test_the_spectrum_is_measured_only_where_it_is_asked_for() -> None:
    assert measure(rig_of("gradients"))["lyapunov_spectrum"] is None
    values = measure(rig_of("gradients", protocol={"lyapunov_exponents": 99}))
    found = values["lyapunov_spectrum"]["median"]
    assert len(found) == 2 * 8  # an LSTM's h and c
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(values["lyapunov"]["median"], rel=1e-9)  # rounding


@pytest.mark.parametrize(
    ("decay", "verdict"),
    [(0.5, "vanishing"), (0.95, "stable"), (1.0, "stable"), (1.5, "exploding")],
)
def test_the_verdict_follows_the_ratio_of_the_ends(decay: float, verdict: str) -> None:
    found, rule = judge(decay ** np.arange(32))
    assert found == verdict
    assert "31 steps back" in rule


def test_a_profile_that_overflows_is_nonfinite() -> None:
    found, rule = judge(np.array([1.0, 2.0, np.inf]))
    assert found == "nonfinite"
    assert "2 steps back" in rule


def test_a_long_profile_is_thinned_but_keeps_both_ends() -> None:
    norms = torch.rand(5000, 3, dtype=torch.float64) + 0.1
    profile = lag_profile(norms)["lag_profile"]
    assert len(profile["lag"]) <= 128
    assert (profile["lag"][0], profile["lag"][-1]) == (0, 4999)
    assert profile["median"][-1] == pytest.approx(float(norms[-1].median()))


def test_the_order_in_which_a_method_names_its_gradients_means_nothing() -> None:
    want = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 4.0])}
    assert compare(dict(reversed(want.items())), want)["relative_error"] == 0.0
    assert compare({"a": want["b"], "b": want["a"]}, want)["relative_error"] != 0.0
