"""A clip that breaks a promise is told so, also one that breaks it only after many updates."""

from pathlib import Path

import pytest

from harness.check import check
from harness.registry import Registry
from harness.trial import Choice

REGISTRY = Registry.scan()
CLIPS = [plugin.name for plugin in REGISTRY.of("clips")]


@pytest.mark.parametrize("name", CLIPS)
def test_every_clip_answers_for_every_promise(name: str) -> None:
    findings = check(REGISTRY, "clips", Choice(name))
    assert {(one.place, one.verdict) for one in findings} == {
        ("float32", "kept"),
        ("bfloat16", "kept"),
    }
    assert len(findings) == 14


# What is changed in the source of a clip, and the promise that must be seen to break.
MUTATIONS = [
    pytest.param(
        "agc",
        "params[name].detach()",
        "params[name]",
        "what it returns holds no graph",
        id="differentiate the weights",
    ),
    pytest.param(
        "normalised",
        "grad / length",
        "grad / (length - norm)",
        "finite gradients stay finite",
        id="divide by 0",
    ),
    pytest.param(
        "hidden",
        "uses_hidden = True",
        "uses_hidden = False",
        "`uses_hidden` is true if it changes hidden gradients",
        id="a hook that nobody calls",
    ),
    pytest.param(
        "noise",
        "torch.randn_like(grad)",
        "torch.randn_like(grad) * __import__('random').random()",
        "a fresh one repeats it",
        id="chance of its own",
    ),
    pytest.param(
        "normalised",
        "grad / length",
        "(grad / length).double()",
        "names, shapes and dtypes are kept",
        id="another number format",
    ),
    pytest.param(
        "norm",
        "{name: grad * scale",
        "{name + '_': grad * scale",
        "names, shapes and dtypes are kept",
        id="other names",
    ),
    pytest.param(
        "value",
        "grad.clamp(-self.limit, self.limit)",
        "grad.clamp(-self.limit, self.limit).flatten()",
        "names, shapes and dtypes are kept",
        id="other shapes",
    ),
    pytest.param(
        "normalised",
        "grad / length",
        "grad.div_(length)",
        "its arguments are left untouched",
        id="in place",
    ),
]


@pytest.mark.parametrize(("name", "right", "wrong", "promise"), MUTATIONS)
def test_a_clip_broken_on_purpose_is_caught(
    name: str, right: str, wrong: str, promise: str, tmp_path: Path
) -> None:
    source = REGISTRY.find("clips", name).path.read_text()
    assert source.count(right) == 1, "the clip has changed; change the mutation too"
    file = tmp_path / "mutant.py"
    file.write_text(source.replace(right, wrong))
    findings = check(Registry.scan([file]), "clips", Choice("mutant"))
    assert promise in {one.promise for one in findings if one.verdict == "broken"}


CLIP_THAT_NEVER_FORGETS = """
from harness.contract import Clip

class Longest(Clip):
    longest = 0

    def params(self, grads, params):
        self.longest = self.longest + sum(grad.norm() for grad in grads.values())
        return {name: grad / self.longest for name, grad in grads.items()}
"""


def test_a_clip_that_remembers_what_is_not_finite_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "never_forgets.py"
    file.write_text(CLIP_THAT_NEVER_FORGETS)
    findings = check(Registry.scan([file]), "clips", Choice("never_forgets"))
    broken = [(one.place, one.promise, one.detail) for one in findings if one.verdict == "broken"]
    promise = "a gradient that is not finite spoils no later one"
    assert broken == [
        ("float32", promise, "not at update 31"),
        ("bfloat16", promise, "not at update 31"),
    ]
