"""Each clip against its published rule, over a stream of gradients, and mutants against it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_rules import RULES, STREAM, WEIGHTS, Rule
from problems import flat

from harness.contract import Clip, Gradients
from harness.registry import Registry
from harness.trial import Choice

REGISTRY = Registry.scan()
ROUNDING = 1e-12  # relative; float64 rounds at 1e-16 an operation, and a stream has 300 updates


def applied(clip: Clip, t: int, grads: Gradients) -> Gradients:
    if clip.uses_hidden:
        return dict(zip(grads, clip.hidden(t, tuple(grads.values())), strict=True))
    return clip.params(grads, WEIGHTS)


def leaves_rule(clip: Clip, rule: Rule) -> list[int]:
    """Return the updates at which the clip and its rule part."""
    with np.errstate(invalid="ignore"):  # 0 times infinity, in the stream on purpose
        want = rule([{name: grad.numpy().copy() for name, grad in one.items()} for one in STREAM])
    torch.manual_seed(5)  # where rule_of_noise begins too
    got = [applied(clip, t, one) for t, one in enumerate(STREAM)]
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
    ("hidden", ".clamp(max=1.0)", "", "lengthen what is short"),
    ("hidden", "get_total_norm(grads)", "grads[0].norm()", "the norm of one part"),
    ("hidden_value", "-self.limit, self.limit", "None, self.limit", "clamp from above alone"),
    ("keep_zeros", "== 0, 0.0", "!= 0, 0.0", "the others"),
    ("keep_zeros", "grad.masked_fill(params[name] == 0, 0.0)", "grad", "let them grow"),
    ("keep_zeros", " and grad.ndim == 2", "", "biases too"),
    ("keep_zeros", "in_cell(name) and ", "", "the readout too"),
    ("noise", "(1 + self.updates)", "(2 + self.updates)", "count from 1"),
    ("noise", "math.sqrt(", "(", "variance for deviation"),
    ("noise", "self.updates += 1", "self.updates += 2", "count twice"),
    ("norm", ".clamp(max=1.0)", "", "lengthen what is short"),
    ("norm", " + TINY", "", "another rounding than torch's"),
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
    ("value", "-self.limit, self.limit", "None, self.limit", "clamp from above alone"),
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


ELSEWHERE = {"omega"}  # a rule of windows, not of gradients: test_omega.py


def test_every_clip_has_a_rule_and_a_mutation() -> None:
    clips = {plugin.name for plugin in REGISTRY.of("clips")} - ELSEWHERE
    assert {name for name, _, _ in RULES.values()} == clips
    assert {RULES[mutation[0]][0] for mutation in MUTATIONS} == clips


def test_the_stream_puts_every_branch_of_the_rules_to_the_test() -> None:
    norms = [float(flat(one).norm()) for one in STREAM]
    assert sum(math.isinf(norm) for norm in norms) == 6
    assert sum(math.isnan(norm) for norm in norms) == 6
    assert norms.count(0.0) == 5
    assert sum(norm > 20 for norm in norms if math.isfinite(norm)) == 8  # spikes
