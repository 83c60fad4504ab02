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


def scatter(draws: Float[Tensor, "N P"], exact: Float[Tensor, " P"]) -> dict[str, Any]:
    """Return bias_squared and noise_to_signal with 95 % intervals, draws, and agrees.

    The intervals come from leaving out one draw after another (the jackknife); where the bias is 0
    that makes them too wide rather than too narrow. `agrees` is False where the bias lies more
    than 5 standard errors above 0.
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
        "agrees": bias <= DISAGREES * bias_error if math.isfinite(bias) else None,
    }


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
