"""How far a stochastic gradient lies from the exact one: on average, and from draw to draw.

Both are relative to the exact gradient's squared norm. The plain ‖mean − g‖² would be too large by
the variance over the number of draws; the U-statistic over pairs of draws is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

Statistic = Callable[[Tensor, Tensor, int], Tensor]  # Σd, Σ‖d‖² and N, with any leading sizes
STANDARD_ERRORS = 1.96  # of a 95 % interval
DISAGREES = 5.0  # standard errors: a thousand honest trials stay below
ROUNDING = 1e-10  # relative, in float64: draws no further apart are alike


def scatter(draws: Float[Tensor, "N P"], exact: Float[Tensor, " P"]) -> dict[str, Any]:
    """Return bias_squared and noise_to_signal with 95 % intervals, draws, and agrees.

    The intervals come from leaving out one draw after another (the jackknife); where the bias is 0
    that makes them too wide rather than too narrow. `agrees` is False where the bias lies more
    than 5 standard errors above 0. Draws that are all alike have no such error: see `alike_agree`.
    """
    scale = float(exact.square().sum())
    if scale == 0.0 or len(draws) < 3:
        return {"draws": len(draws), "bias_squared": None, "noise_to_signal": None, "agrees": None}
    deviations = (draws - exact) / math.sqrt(scale)
    bias, bias_error = _jackknife(deviations, _bias_squared)
    noise, noise_error = _jackknife(deviations, _variance)
    return {
        "draws": len(draws),
        "bias_squared": _interval(bias, bias_error),
        "noise_to_signal": _interval(noise, noise_error),
        "agrees": _agrees(deviations, bias, bias_error),
    }


def unseen_chance(draws: int) -> float:
    """Return the chance that something may have and still be in none of the draws, to 95 %.

    Source: Hanley and Lippman-Hand (1983), If nothing goes wrong, is everything all right?
    """
    return 3.0 / draws


def alike_agree(distance: float, draws: int) -> bool | None:
    """Return whether draws that are all alike are right on average.

    `distance` is that to the exact gradient, in lengths of it. None where it is no more than what a
    rare draw may make up for that lies one length off and has not come.
    """
    if distance <= ROUNDING:
        return True
    return None if distance <= unseen_chance(draws) else False


def _agrees(deviations: Tensor, bias: float, bias_error: float) -> bool | None:
    if not math.isfinite(bias):
        return None
    if float((deviations - deviations[0]).norm(dim=1).max()) <= ROUNDING:
        return alike_agree(float(deviations[0].norm()), len(deviations))
    return bias <= DISAGREES * bias_error


def _bias_squared(total: Tensor, squares: Tensor, count: int) -> Tensor:
    """Return 1/(N(N − 1)) Σ_{i≠j} ⟨dᵢ, dⱼ⟩."""
    return (total.square().sum(-1) - squares) / (count * (count - 1))


def _variance(total: Tensor, squares: Tensor, count: int) -> Tensor:
    """Return tr Var."""
    return (squares - total.square().sum(-1) / count) / (count - 1)


def _jackknife(deviations: Tensor, statistic: Statistic) -> tuple[float, float]:
    """Return the statistic over all draws, and its standard error from leaving one out."""
    count = len(deviations)
    total, each = deviations.sum(0), deviations.square().sum(1)
    without = statistic(total - deviations, each.sum() - each, count - 1)  # (N,)
    error = math.sqrt((count - 1) / count) * float((without - without.mean()).norm())
    return float(statistic(total, each.sum(), count)), error


def _interval(estimate: float, error: float) -> dict[str, float] | None:
    if not math.isfinite(estimate):
        return None
    reach = STANDARD_ERRORS * error
    return {"estimate": estimate, "low": estimate - reach, "high": estimate + reach}
