"""The published rules of the clips, told again in plain NumPy, and the gradients to try them on.

A clip of hidden gradients is tried on the same tensors, as if they were the parts of a state.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.contract import Gradients

Arrays = dict[str, np.ndarray]
Rule = Callable[[list[Arrays]], list[Arrays]]


def stream() -> list[Gradients]:
    """300 gradients whose length drifts, with spikes, zeros, and entries that are not finite."""
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    found = []
    for t in range(300):
        size = math.exp(0.3 * float(normal(1)) + math.sin(t / 40)) * (
            300.0 if t % 37 == 27 else 1.0
        )
        sizes = {"cell.weight": (4, 3), "cell.bias": (4,), "readout.weight": (2, 4)}
        grads = {name: 0.1 * size * normal(*shape) for name, shape in sizes.items()}
        if t < 30:
            grads["readout.weight"][0, 0] = 0.0  # an entry that wakes up late
        if t % 50 in (7, 45):
            grads["cell.weight"][1, 2] = math.inf if t % 50 == 7 else math.nan
        if t % 60 == 11:
            grads = {name: torch.zeros_like(grad) for name, grad in grads.items()}
        found.append(grads)
    return found


STREAM = stream()
WEIGHTS = {
    "cell.weight": torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3) * torch.eye(4, 1),
    "cell.bias": torch.tensor([0.3, 0.3, 0.0, 0.3], dtype=torch.float64),
    "readout.weight": torch.tensor([[1.0, 1.0, 0.0, 1.0]] * 2, dtype=torch.float64),
}


def length(grads: Arrays) -> float:
    return math.sqrt(sum(float(x) ** 2 for grad in grads.values() for x in grad.flat))


def times(grads: Arrays, factor: float) -> Arrays:
    return {name: grad * factor for name, grad in grads.items()}


def counts(norm: float) -> bool:
    return math.isfinite(norm) and norm > 0


def rule_of_norm(max_norm: float) -> Rule:
    def rule(grads: list[Arrays]) -> list[Arrays]:
        return [times(one, np.minimum(1.0, max_norm / (length(one) + 1e-6))) for one in grads]

    return rule


def rule_of_value(limit: float) -> Rule:
    def rule(grads: list[Arrays]) -> list[Arrays]:
        return [{name: np.clip(grad, -limit, limit) for name, grad in one.items()} for one in grads]

    return rule


def rule_of_autoclip(percentile: float) -> Rule:
    def rule(grads: list[Arrays]) -> list[Arrays]:
        history: list[float] = []
        out = []
        for one in grads:
            norm = length(one)
            history += [norm] if counts(norm) else []
            bound = np.percentile(history, percentile)
            out.append(times(one, bound / norm) if norm > bound else one)
        return out

    return rule


def rule_of_zclip(max_norm: float) -> Rule:
    """The authors' `step`, with two lists of decisions written out."""

    def rule(grads: list[Arrays]) -> list[Arrays]:
        buffer: list[float] = []
        mean = var = math.nan
        out = []
        for one in grads:
            norm = length(one)
            bound, used = max_norm, norm
            if len(buffer) < 25:
                buffer += [norm] if counts(norm) else []
                mean, var = float(np.mean(buffer)), float(np.var(buffer))
            else:
                z = (norm - mean) / (math.sqrt(var) + 1e-6)
                if z > 2.5:
                    used = mean + (2.5 * math.sqrt(var)) / (z / 2.5)
                    bound = min(used, max_norm)
                if counts(used):
                    mean = 0.97 * mean + (1 - 0.97) * used
                    var = 0.97 * var + (1 - 0.97) * (used - mean) ** 2
            out.append(times(one, bound / norm) if norm > bound else one)
        return out

    return rule


def rule_of_spam(theta: float) -> Rule:
    def rule(grads: list[Arrays]) -> list[Arrays]:
        v = {name: np.zeros_like(grad) for name, grad in grads[0].items()}
        out = []
        for t, one in enumerate(grads, start=1):
            new = {name: grad.copy() for name, grad in one.items()}
            for name, grad in new.items():
                for index, g in np.ndenumerate(grad):
                    past = v[name][index]
                    if t >= 20 and past > 0 and g * g / past > theta:
                        grad[index] = math.copysign(math.sqrt(theta * past), g)
                    if math.isfinite(grad[index]):
                        v[name][index] = 0.999 * past + 0.001 * grad[index] ** 2
            out.append(new)
        return out

    return rule


def rule_of_agc(clipping: float) -> Rule:
    def unit(grad: np.ndarray, weight: np.ndarray) -> np.ndarray:
        ratio = np.linalg.norm(grad) / max(np.linalg.norm(weight), 1e-3)
        return grad if ratio < clipping else grad * (clipping / ratio)

    def rule(grads: list[Arrays]) -> list[Arrays]:
        weights = {name: weight.numpy() for name, weight in WEIGHTS.items()}
        return [
            {
                "cell.weight": np.stack(
                    [unit(one["cell.weight"][i], weights["cell.weight"][i]) for i in range(4)]
                ),
                "cell.bias": unit(one["cell.bias"], weights["cell.bias"]),
                "readout.weight": one["readout.weight"],
            }
            for one in grads
        ]

    return rule


def rule_of_per_parameter(grads: list[Arrays]) -> list[Arrays]:
    return [
        {
            name: grad * np.minimum(1.0, 0.5 / (np.linalg.norm(grad) + 1e-6))
            for name, grad in one.items()
        }
        for one in grads
    ]


def rule_of_normalised(grads: list[Arrays]) -> list[Arrays]:
    return [
        times(one, 1.0) if length(one) == 0 else {n: g / length(one) for n, g in one.items()}
        for one in grads
    ]


def rule_of_noise(grads: list[Arrays]) -> list[Arrays]:
    torch.manual_seed(5)
    return [
        {
            name: grad
            + math.sqrt(0.3 / (1 + t) ** 0.55)
            * torch.randn(grad.shape, dtype=torch.float64).numpy()
            for name, grad in one.items()
        }
        for t, one in enumerate(grads)
    ]


def rule_of_keep_zeros(grads: list[Arrays]) -> list[Arrays]:
    zero = WEIGHTS["cell.weight"].numpy() == 0
    return [{**one, "cell.weight": np.where(zero, 0.0, one["cell.weight"])} for one in grads]


def rule_of_skip_nonfinite(grads: list[Arrays]) -> list[Arrays]:
    return [
        one if all(math.isfinite(x) for grad in one.values() for x in grad.flat) else {}
        for one in grads
    ]


RULES: dict[str, tuple[str, dict[str, Any], Rule]] = {
    "agc": ("agc", {}, rule_of_agc(0.01)),
    "agc, loose": ("agc", {"clipping": 3.0}, rule_of_agc(3.0)),
    "autoclip": ("autoclip", {}, rule_of_autoclip(10.0)),
    "autoclip, median": ("autoclip", {"percentile": 50.0}, rule_of_autoclip(50.0)),
    "hidden": ("hidden", {"max_norm": 0.5}, rule_of_norm(0.5)),
    "hidden_value": ("hidden_value", {"limit": 0.2}, rule_of_value(0.2)),
    "noise": ("noise", {"eta": 0.3}, rule_of_noise),
    "keep_zeros": ("keep_zeros", {}, rule_of_keep_zeros),
    "norm": ("norm", {"max_norm": 0.5}, rule_of_norm(0.5)),
    "normalised": ("normalised", {}, rule_of_normalised),
    "per_parameter": ("per_parameter", {"max_norm": 0.5}, rule_of_per_parameter),
    "skip_nonfinite": ("skip_nonfinite", {}, rule_of_skip_nonfinite),
    "spam": ("spam", {}, rule_of_spam(5000.0)),
    "spam, tight": ("spam", {"threshold": 10.0}, rule_of_spam(10.0)),
    "value": ("value", {"limit": 0.2}, rule_of_value(0.2)),
    "zclip": ("zclip", {}, rule_of_zclip(1.0)),
    "zclip, paper": ("zclip", {"max_norm": math.inf}, rule_of_zclip(math.inf)),
}
