"""Each clip against its published rule, told again in plain NumPy, over a stream of gradients."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from problems import flat
from torch import Tensor

from harness.contract import Clip, Gradients
from harness.registry import Registry
from harness.trial import Choice

REGISTRY = Registry.scan()
ROUNDING = 1e-12  # relative; float64 rounds at 1e-16 an operation, and a stream has 300 updates
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
    "cell.bias": torch.full((4,), 0.3, dtype=torch.float64),
    "readout.weight": torch.ones(2, 4, dtype=torch.float64),
}


def length(grads: Arrays) -> float:
    return math.sqrt(sum(float(x) ** 2 for grad in grads.values() for x in grad.flat))


def times(grads: Arrays, factor: float) -> Arrays:
    return {name: grad * factor for name, grad in grads.items()}


def counts(norm: float) -> bool:
    return math.isfinite(norm) and norm > 0


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
    "noise": ("noise", {"eta": 0.3}, rule_of_noise),
    "normalised": ("normalised", {}, rule_of_normalised),
    "per_parameter": ("per_parameter", {"max_norm": 0.5}, rule_of_per_parameter),
    "skip_nonfinite": ("skip_nonfinite", {}, rule_of_skip_nonfinite),
    "spam": ("spam", {}, rule_of_spam(5000.0)),
    "spam, tight": ("spam", {"threshold": 10.0}, rule_of_spam(10.0)),
    "zclip": ("zclip", {}, rule_of_zclip(1.0)),
    "zclip, paper": ("zclip", {"max_norm": math.inf}, rule_of_zclip(math.inf)),
}


def leaves_rule(clip: Clip, rule: Rule) -> list[int]:
    """Return the updates at which the clip and its rule part."""
    with np.errstate(invalid="ignore"):  # 0 times infinity, in the stream on purpose
        want = rule([{name: grad.numpy().copy() for name, grad in one.items()} for one in STREAM])
    torch.manual_seed(5)  # where rule_of_noise begins too
    got = [clip.params(one, WEIGHTS) for one in STREAM]
    return [
        t
        for t, (one, other) in enumerate(zip(got, want, strict=True))
        if one.keys() != other.keys()
        or not all(
            np.allclose(grad.numpy(), other[name], rtol=ROUNDING, atol=0.0, equal_nan=True)
            for name, grad in one.items()
        )
    ]


@pytest.mark.parametrize("case", RULES)
def test_a_clip_follows_its_published_rule(case: str) -> None:
    name, settings, rule = RULES[case]
    assert leaves_rule(REGISTRY.build("clips", Choice(name, settings)), rule) == []


# The case of RULES that must see it, what is changed in the clip's source, and what that means.
MUTATIONS = [
    ("agc", "dim=1", "dim=0", "columns for units"),
    ("agc", ".clamp(min=self.eps)", "", "no way out of zero weights"),
    ("agc", "grad if name.startswith(READOUT) else ", "", "the readout too"),
    ("agc, loose", "norms < longest", "norms < 0", "lengthen what is short"),
    ("autoclip", "return self.store[: self.updates]", "return self.store[:1]", "forget"),
    (
        "autoclip",
        "return self.store[: self.updates]",
        "return self.store[: max(1, self.updates - 1)]",
        "without the norm at hand",
    ),
    ("autoclip", "self.percentile / 100", "0.5", "the median"),
    ("autoclip", "norm > bound, ", "norm > 2 * bound, ", "clip too late"),
    ("autoclip", "(norm > 0) & norm.isfinite()", "norm.isfinite()", "zeros in the history"),
    ("autoclip", "(norm > 0) & norm.isfinite()", "norm > 0", "infinity in the history"),
    ("autoclip", "self.store.to(more)", "0 * self.store.to(more)", "lose the history as it grows"),
    ("noise", "(1 + self.updates)", "(2 + self.updates)", "count from 1"),
    ("noise", "math.sqrt(", "(", "variance for deviation"),
    ("noise", "self.updates += 1", "self.updates += 2", "count twice"),
    ("normalised", "torch.where(norm == 0, 1.0, norm)", "norm", "divide by 0"),
    ("normalised", "grad / length", "grad / length**2", "the square of the norm"),
    (
        "per_parameter",
        "(grad.norm() + TINY)",
        "(sum(map(Tensor.norm, grads.values())) + TINY)",
        "one norm for all",
    ),
    ("per_parameter", ".clamp(max=1.0)", "", "lengthen what is short"),
    ("skip_nonfinite", "isfinite()", "isinf().logical_not()", "let NaN through"),
    ("skip_nonfinite", "isfinite()", "isnan().logical_not()", "let infinity through"),
    ("skip_nonfinite", "else {}", "else {n: 0 * g for n, g in grads.items()}", "zeros for nothing"),
    ("spam, tight", "grad = grad.clamp(-limit, limit)", "limit = grad", "no clamp"),
    ("spam, tight", "(self.threshold * moment)", "moment", "no threshold"),
    ("spam, tight", ">= self.start", "> self.start", "start one update late"),
    ("spam, tight", "moment > 0", "moment >= 0", "hold entries without a past at 0"),
    ("spam, tight", "torch.where(grad.isfinite(), later, moment)", "later", "remember NaN"),
    ("spam, tight", "self.beta2 * moment +", "self.beta2**2 * moment +", "forget too fast"),
    ("zclip", "torch.minimum(norm, threshold)", "norm", "learn from the spike itself"),
    ("zclip", "**2 * deviation / z", " * deviation", "a threshold that does not fall"),
    ("zclip", "self.mean, mean))", "self.mean, self.mean))", "deviations from the old mean"),
    ("zclip", ">= self.warmup", "> self.warmup", "warm up one norm longer"),
    ("zclip", "(norm > 0) & norm.isfinite()", "norm.isfinite()", "learn from zeros"),
    ("zclip", "(norm > 0) & norm.isfinite()", "norm > 0", "learn from infinity"),
    ("zclip", ".clamp(max=self.max_norm)", "", "no fixed bound"),
]


@pytest.mark.parametrize(
    ("case", "right", "wrong"),
    [pytest.param(*mutation[:3], id=f"{mutation[0]}: {mutation[3]}") for mutation in MUTATIONS],
)
def test_a_clip_broken_on_purpose_leaves_its_rule(
    case: str, right: str, wrong: str, tmp_path: Path
) -> None:
    name, settings, rule = RULES[case]
    source = REGISTRY.find("clips", name).path.read_text()
    assert source.count(right) == 1, "the clip has changed; change the mutation too"
    file = tmp_path / "mutant.py"
    file.write_text(source.replace(right, wrong))
    clip = Registry.scan([file]).build("clips", Choice("mutant", settings))
    assert leaves_rule(clip, rule) != []


def test_every_clip_that_has_a_rule_here_has_a_mutation() -> None:
    assert {RULES[mutation[0]][0] for mutation in MUTATIONS} == {rule[0] for rule in RULES.values()}


def test_the_stream_puts_every_branch_of_the_rules_to_the_test() -> None:
    norms = [float(flat(one).norm()) for one in STREAM]
    assert sum(math.isinf(norm) for norm in norms) == 6
    assert sum(math.isnan(norm) for norm in norms) == 6
    assert norms.count(0.0) == 5
    assert sum(norm > 20 for norm in norms if math.isfinite(norm)) == 8  # spikes
