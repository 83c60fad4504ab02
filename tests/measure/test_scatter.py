"""Bias and noise of a stochastic gradient, against draws whose truth is known."""

import math

import torch

from harness.measure.scatter import scatter

SIZE, DRAWS = 50, 64


def drawn(bias: float, noise: float, seed: int) -> dict[str, object]:
    """Scatter of draws that lie `bias` off, and `noise` apart, in units of the exact norm."""
    generator = torch.Generator().manual_seed(seed)
    exact = torch.randn(SIZE, generator=generator, dtype=torch.float64)
    off = torch.randn(SIZE, generator=generator, dtype=torch.float64)
    spread = torch.randn(DRAWS, SIZE, generator=generator, dtype=torch.float64)
    scale = exact.norm()
    draws = exact + bias * scale * off / off.norm() + noise * scale * spread / math.sqrt(SIZE)
    return scatter(draws, exact)


def covered(key: str, bias: float, noise: float, truth: float) -> float:
    found = [drawn(bias, noise, seed)[key] for seed in range(200)]
    return sum(one["low"] <= truth <= one["high"] for one in found) / len(found)


def test_the_interval_of_the_bias_covers_a_bias_that_is_there() -> None:
    assert covered("bias_squared", bias=1.0, noise=2.0, truth=1.0) > 0.9


def test_the_interval_of_the_bias_covers_zero_where_there_is_none() -> None:
    assert covered("bias_squared", bias=0.0, noise=2.0, truth=0.0) > 0.9


def test_the_interval_of_the_noise_covers_its_variance() -> None:
    assert covered("noise_to_signal", bias=0.5, noise=2.0, truth=4.0) > 0.9


def test_the_plain_square_of_the_mean_would_be_too_large_by_the_noise() -> None:
    found = [drawn(0.0, 2.0, seed)["bias_squared"]["estimate"] for seed in range(200)]
    plain = 2.0**2 / DRAWS  # what E‖mean − g‖² is without any bias
    assert abs(sum(found) / len(found)) < plain / 10


def test_a_bias_is_a_disagreement_and_noise_alone_is_not() -> None:
    assert all(drawn(0.0, 3.0, seed)["agrees"] for seed in range(100))
    assert not any(drawn(2.0, 3.0, seed)["agrees"] for seed in range(100))


def test_nothing_is_said_without_a_gradient_or_with_two_draws() -> None:
    assert scatter(torch.ones(8, 3), torch.zeros(3))["agrees"] is None
    assert scatter(torch.ones(2, 3), torch.ones(3))["bias_squared"] is None


def alike(distance: float, draws: int = DRAWS) -> object:
    """`agrees` of draws that are all the same, and so far from the exact gradient."""
    exact = torch.eye(SIZE, dtype=torch.float64)[0]
    return scatter((1 + distance) * exact.expand(draws, SIZE), exact)["agrees"]


def test_draws_that_are_all_exact_agree_to_rounding() -> None:
    assert alike(0.0) is True
    assert alike(1e-15) is True


def test_draws_all_alike_say_nothing_where_a_rare_one_may_have_been_missed() -> None:
    assert alike(1e-3) is None  # as where no cut falls, and one falls in a thousand
    assert alike(1e-3, draws=10_000) is False  # ten would have been seen
    assert alike(0.5) is False  # half of the gradient is no rare draw


def test_one_draw_that_differs_is_chance_enough() -> None:
    exact = torch.eye(SIZE, dtype=torch.float64)[0]
    draws = (1 + 1 / (DRAWS - 1)) * exact.repeat(DRAWS, 1)
    draws[0] = 0.0  # one cut, for which the others were made longer
    assert scatter(draws, exact)["agrees"] is True
