"""Every plugin keeps its promises, and a plugin that breaks one is told so."""

import shutil
from pathlib import Path

import pytest

from harness.check import Finding, check
from harness.registry import KINDS, Kind, Registry
from harness.trial import Choice

REGISTRY = Registry.scan()
ROOT = Path(__file__).parent.parent
FOLDERS = {
    "gradients": "implementations/gradients",
    "clips": "implementations/clips",
    "cells": "implementations/cells",
    "tasks": "tasks",
}
PLUGINS = [
    pytest.param(
        plugin.kind, plugin.name, id=plugin.key, marks=[pytest.mark.data] * len(plugin.packs)
    )
    for plugin in REGISTRY.plugins
]


def broken(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.promise for finding in findings if finding.verdict == "broken"}


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plugin_keeps_its_promises(kind: Kind, name: str) -> None:
    findings = check(REGISTRY, kind, Choice(name))
    assert any(finding.verdict == "kept" for finding in findings)
    assert [finding for finding in findings if finding.verdict == "broken"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_template_keeps_its_promises(kind: Kind, tmp_path: Path) -> None:
    file = tmp_path / "my_first.py"
    shutil.copy(ROOT / FOLDERS[kind] / "_template.py", file)
    findings = check(Registry.scan([file]), kind, Choice("my_first"))
    assert len(findings) >= 4
    assert broken(findings) == set()


# What is changed in the source of a plugin, and the promise that must be seen to break.
MUTATIONS = [
    pytest.param(
        "gradients/truncated_bptt",
        "model.loss(hidden[again:], window.targets, window.weights)",
        "model.loss(hidden[again:], window.targets, 0.5 * window.weights)",
        "truncated: equals its own definition",
        id="drop the weight of a window",
    ),
    pytest.param(
        "gradients/truncated_bptt",
        "self.depth - len(window), state",
        "self.depth - len(window) - 1, state",
        "truncated: equals its own definition",
        id="cut one step too early",
    ),
    pytest.param(
        "gradients/truncated_bptt",
        "(past, detach(last))",
        "(past, last)",
        "the carry holds no graph",
        id="carry a graph",
    ),
    pytest.param(
        "gradients/checkpointed",
        "own)), grads[: len(leaves)])",
        "own)), tuple(0 * grad for grad in grads[: len(leaves)]))",
        "exact: equals the oracle",
        id="drop the message between segments",
    ),
    pytest.param(
        "gradients/full_bptt",
        "model.roll(window.inputs, carry, window.start, hook)",
        "model.roll(window.inputs, carry, window.start)",
        "a hook sees every step",
        id="forget the hook",
    ),
    pytest.param(
        "gradients/full_bptt",
        "        return model.gradient_of(loss), detach(state)",
        "        loss.backward(retain_graph=True)\n"
        "        return model.gradient_of(loss), detach(state)",
        "parameters are left untouched",
        id="write into the parameters",
    ),
    pytest.param(
        "cells/lstm",
        "return outputs, (last[0][0], last[1][0])",
        "return outputs, (last[1][0], last[0][0])",
        "unroll equals advance",
        id="swap the parts of a state",
    ),
    pytest.param(
        "clips/norm",
        "return {name: grad * scale for name, grad in grads.items()}",
        "return {name: grad.mul_(scale) for name, grad in grads.items()}",
        "its arguments are left untouched",
        id="clip in place",
    ),
    pytest.param(
        "tasks/adding",
        "weights[-1] = 1 / batch_size",
        "weights[-1] = 2 / batch_size",
        "weights sum to 1",
        id="weights that sum to two",
    ),
]


@pytest.mark.parametrize(("key", "right", "wrong", "promise"), MUTATIONS)
def test_a_plugin_broken_on_purpose_is_caught(
    key: str, right: str, wrong: str, promise: str, tmp_path: Path
) -> None:
    plugin = next(plugin for plugin in REGISTRY.plugins if plugin.key == key)
    source = plugin.path.read_text()
    assert source.count(right) == 1, "the plugin has changed; change the mutation too"
    file = tmp_path / "mutant.py"
    file.write_text(source.replace(right, wrong))
    findings = check(Registry.scan([file]), plugin.kind, Choice("mutant"))
    assert promise in broken(findings)
