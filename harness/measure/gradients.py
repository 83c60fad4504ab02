"""How right a gradient is, how far back it reaches, and whether it vanishes or explodes.

On frozen parameters, everything in float64 on the same batch for all methods. Values: claim,
agrees, tolerance, exact_norm, relative_error, cosine, norm_ratio, groups, definition_error,
scatter (of an unbiased method: draws, bias_squared, noise_to_signal, agrees), truncation_bias (the
oracle's own, on the baseline's record: lags, relative_error, cosine of the gradient cut after so
many lags),
applied, dtype_relative_error, reach, lag_profile, horizon_90, horizon_99, half_life, verdict, rule,
lyapunov (the largest exponent, in nats a step; null if not finite), lyapunov_spectrum (as many
exponents as were asked for, the largest first; null: none were).
"""

from __future__ import annotations

from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness import oracle
from harness.contract import Batch, Gradient, GradientMethod, Gradients
from harness.drive import add
from harness.measure.lyapunov import lyapunov, spectrum
from harness.measure.scatter import scatter
from harness.rig import Rig
from harness.trial import GradientsProtocol

TOLERANCE = 1e-10  # rounding in float64 stays under 1e-14 a step; a wrong term is above 1e-6
FLOAT32_TOLERANCE, FLOAT32_STEPS = 1e-4, 1000  # rounding grows with the steps
PROFILE_POINTS = 128  # log-spaced: more cannot be seen in a plot
DEFINITION_STEPS = 20_000  # steps of adjoints that the check of a definition may cost
CURVE_POINTS = 16  # log-spaced truncation lengths: a curve that is smooth in log K
VANISHING = 1e-3  # of the gradient at lag 0 is left at the longest lag
EXPLODING = 1e3  # times the gradient at lag 0


def measure(rig: Rig) -> dict[str, Any]:
    """Return the comparison with the oracle and the oracle's own lag profile."""
    asked = GradientsProtocol(**rig.trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    double = rig.in_float64()
    batch = double.batch()
    exact = oracle.exact_gradient(double.model, batch)
    bare, _ = method_gradient(double.without_clips(), batch)
    _, applied = method_gradient(double, batch)
    own, _ = method_gradient(rig.without_clips(), rig.batch())
    own_error = compare(own.params, exact.params)["relative_error"]
    length, method = len(batch), rig.method
    whole = compare(bare.params, exact.params)
    claim = method.claim(length, rig.model.cell)
    definition = definition_error(double, batch, bare) if claim == "biased" else None
    error = whole["relative_error"] if claim == "exact" else definition
    unbiased = claim == "unbiased"
    scattered = drawn(double.without_clips(), batch, exact, asked.draws) if unbiased else None
    return {
        "claim": claim,
        "agrees": scattered["agrees"] if scattered else agreement(rig, error, own_error),
        "tolerance": TOLERANCE,
        "exact_norm": _norm(exact.params),
        **whole,
        "groups": {
            name: compare({name: bare.params[name]}, {name: grad})
            for name, grad in exact.params.items()
        },
        "definition_error": definition,
        "scatter": scattered,
        "truncation_bias": (
            truncation_bias(double, batch) if rig.trial.implementation.baseline else None
        ),
        "applied": compare(applied, exact.params),
        "dtype_relative_error": own_error,
        "reach": length - 1 if claim == "exact" else reach(method, length),
        **lag_profile(oracle.lag_norms(double.model, batch)),
        "lyapunov": lyapunov(double.model, batch, rig.generator("tangent")),
        "lyapunov_spectrum": asked.lyapunov_exponents
        and spectrum(double.model, batch, rig.generator("tangent"), asked.lyapunov_exponents),
    }


def agreement(rig: Rig, error: float | None, own_error: float | None) -> bool | None:
    """Return whether the gradient is what it claims to be; None where it claims nothing.

    In float64 always; an exact method also in float32, where a kernel of its own may be wrong.
    """
    if error is None:
        return None
    length = rig.trial.sequence_length
    exact = rig.method.claim(length, rig.model.cell) == "exact"
    judged = exact and rig.dtype == torch.float32 and length <= FLOAT32_STEPS
    if judged and (own_error is None or own_error > FLOAT32_TOLERANCE):
        return False
    return error <= TOLERANCE


def drawn(rig: Rig, batch: Batch, exact: Gradient, count: int) -> dict[str, Any]:
    """Return how a stochastic method's draws scatter about the exact gradient."""
    names = list(exact.params)
    draws = [method_gradient(rig, batch, draw)[0].params for draw in range(count)]
    rows = torch.stack([_flat({name: grads[name] for name in names}) for grads in draws])
    return scatter(rows, _flat(exact.params))


def truncation_bias(rig: Rig, batch: Batch) -> dict[str, Any] | None:
    """Return error and cosine of the gradient cut after K lags, for log-spaced K in one pass.

    None where the pass, T²/2 steps of adjoints, would cost more than DEFINITION_STEPS.
    """
    length = len(batch)
    if length * length // 2 > DEFINITION_STEPS:
        return None
    lags = np.unique(np.geomspace(1, length, CURVE_POINTS).round().astype(int)).tolist()
    pieces = oracle.lag_gradients(rig.model, batch, lags)
    whole = reduce(add, pieces).params
    cut = [compare(sum_.params, whole) for sum_ in accumulate(pieces, add)]
    return {
        "lags": lags,
        **{key: [one[key] for one in cut] for key in ("relative_error", "cosine")},
    }


def method_gradient(rig: Rig, batch: Batch, draw: int = 0) -> tuple[Gradient, Gradients]:
    """Return the sequence's gradient, and what the clips leave of it; no parameter moves.

    `draw` numbers the draws of a stochastic method.

    Clips act as often as in the trial, on every window or once a sequence; this is the sum of what
    they leave.
    """
    bare: list[Gradient] = []
    left: list[Gradient] = []

    def observe(gradient: Gradient, clipped: Gradients) -> None:
        bare.append(gradient)
        left.append(Gradient(gradient.loss, clipped))

    drive = rig.drive(observe=observe)
    drive.sequence(batch, drive.begin(rig.trial.batch_size, rig.generator("method", draw)))
    return reduce(add, bare), reduce(add, left).params


def compare(got: Gradients, want: Gradients) -> dict[str, float | None]:
    """Return relative error, cosine and norm ratio; null where a norm is 0 or not finite."""
    a, b = _flat({name: got[name] for name in want}), _flat(want)  # a method names in any order
    norms = float(a.norm()), float(b.norm())
    error = float((a - b).norm())
    if norms[1] == 0.0:
        return {"relative_error": 0.0 if error == 0.0 else None, "cosine": None, "norm_ratio": None}
    cosine = float(a @ b) / (norms[0] * norms[1]) if norms[0] > 0 else None
    found = {
        "relative_error": error / norms[1],
        "cosine": cosine,
        "norm_ratio": norms[0] / norms[1],
    }
    return {key: _finite(value) for key, value in found.items()}


def definition_error(rig: Rig, batch: Batch, found: Gradient) -> float | None:
    """Return how far a truncated gradient is from its own definition; None: not defined so.

    The definition is the sum of the lags that the method keeps, from the oracle. Where that would
    cost more than DEFINITION_STEPS steps it is left to `bptt check`, which tries shorter sequences.
    """
    rectangles = rig.method.keeps(len(batch))
    if rectangles is None or sum(e - back for _, e, back in rectangles) > DEFINITION_STEPS:
        return None
    want = oracle.kept_gradient(rig.model, batch, rectangles)
    return compare(found.params, want.params)["relative_error"]


def reach(method: GradientMethod, length: int) -> int | None:
    """Return the longest lag at which a truncated method sends any gradient back, in steps.

    None where it is not known, or where the cell has no gradient at all.
    """
    rectangles = method.keeps(length)
    if rectangles is None:
        return None
    longest = max(last - 1 - back for _, last, back in rectangles)
    return longest if longest >= 0 else None


def lag_profile(norms: Tensor) -> dict[str, Any]:
    """Return the profile over the batch of ‖dL_s/ds_{s−k}‖, (lags, B), with its verdict."""
    values = norms.cpu().numpy()
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
    lags = np.unique(np.geomspace(1, len(median), PROFILE_POINTS).round().astype(int)) - 1
    verdict, rule = judge(median)
    return {
        "lag_profile": {
            "lag": lags.tolist(),
            "lower": lower[lags].tolist(),
            "median": median[lags].tolist(),
            "upper": upper[lags].tolist(),
        },
        "horizon_90": horizon(median, 0.1),
        "horizon_99": horizon(median, 0.01),
        "half_life": half_life(median),
        "verdict": verdict,
        "rule": rule,
    }


def horizon(profile: np.ndarray[Any, np.dtype[np.float64]], left: float) -> int | None:
    """Return how many lags hold all but the share `left` of the profile; null if not finite."""
    total = profile.sum()
    if not np.isfinite(total) or total == 0:
        return None
    beyond = total - np.cumsum(profile)  # after lags 0..k
    return int(np.argmax(beyond <= left * total)) + 1


def half_life(profile: np.ndarray[Any, np.dtype[np.float64]]) -> int | None:
    """Return the lags after which dL/ds is first half of what it is at the loss; null: never."""
    halved = np.flatnonzero(profile <= profile[0] / 2)
    return int(halved[0]) if profile[0] > 0 and len(halved) else None


def judge(profile: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[str, str]:
    """Return vanishing, stable, exploding or nonfinite, and the sentence that says why."""
    if not np.isfinite(profile).all():
        return "nonfinite", f"dL/ds is not finite {int(np.argmin(np.isfinite(profile)))} steps back"
    lag = len(profile) - 1
    if profile[0] == 0:
        return "vanishing", "dL/ds is 0 already at the loss"
    ratio = profile[-1] / profile[0]
    said = f"{lag} steps back dL/ds is {ratio:.2g} times what it is at the loss"
    if ratio < VANISHING:
        return "vanishing", f"{said}: below {VANISHING:g}"
    if ratio > EXPLODING:
        return "exploding", f"{said}: above {EXPLODING:g}"
    return "stable", f"{said}: between {VANISHING:g} and {EXPLODING:g}"


def _flat(grads: Gradients) -> Tensor:
    return torch.cat([grad.detach().double().cpu().flatten() for grad in grads.values()])


def _norm(grads: Gradients) -> float | None:
    return _finite(float(_flat(grads).norm()))


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
