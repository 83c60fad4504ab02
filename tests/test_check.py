"""Every plugin keeps its promises, and a plugin that breaks one is told so."""

import shutil
from pathlib import Path

import pytest
from mutants import REGISTRY, ROOT, broken, mutant, promises_broken_by

from harness.check import Finding, check
from harness.data import DataError
from harness.registry import KINDS, Kind, Registry
from harness.trial import Choice

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


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plugin_keeps_its_promises(kind: Kind, name: str) -> None:
    findings = check(REGISTRY, kind, Choice(name))
    tried = [finding for finding in findings if finding.verdict != "skipped"]
    assert tried or all("the model is on the CPU" in finding.detail for finding in findings)
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
        "later.message = grads[:first]",
        "later.message = tuple(0 * grad for grad in grads[:first])",
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
    pytest.param(
        "gradients/full_bptt",
        "carry, window.start, hook)",
        "carry, window.start, hook and (lambda t, g: (hook(t, g), g)[1]))",
        "a hook's change travels on",
        id="ignore what the hook returns",
    ),
    pytest.param(
        "gradients/full_bptt",
        "carry, window.start, hook)",
        "carry, window.start)\n"
        "        for t in range(window.start, window.start + len(window)):\n"
        "            hook and hook(t, carry)",
        "a hook's change travels on",
        id="call the hook beside the graph",
    ),
    pytest.param(
        "gradients/checkpointed",
        "model.roll(segment.inputs, leaves, segment.start, hook)",
        "model.roll(segment.inputs, leaves, segment.start, hook).oops",
        "runs without an error",
        id="a gradient method that raises",
    ),
    pytest.param(
        "cells/elman",
        "rnn.weight_hh_l0, rnn",
        "3 * rnn.weight_hh_l0 - 2 * rnn.weight_hh_l0.detach(), rnn",
        "its derivative is right",
        id="three times a weight's gradient",
    ),
    pytest.param(
        "cells/gru",
        "return outputs, (last[0],)",
        "return outputs, (last[7],)",
        "runs without an error",
        id="a cell that raises",
    ),
    pytest.param(
        "cells/lru",
        "[-turned[..., 1, :], turned[..., 0, :]]",
        "[turned[..., 1, :], turned[..., 0, :]]",
        "local holds the step's derivatives",
        id="a quarter turn the other way",
    ),
    pytest.param(
        "cells/lru",
        "torch.stack([real, -imaginary, imaginary, real])",
        "torch.stack([real, imaginary, -imaginary, real])",
        "local holds the step's derivatives",
        id="the transposed turn",
    ),
    pytest.param(
        "cells/mingru",
        "by_z = z * (1 - z) * (positive(a_g) - state[0])",
        "by_z = z * (1 - z) * positive(a_g)",
        "local holds the step's derivatives",
        id="a gate that does not let go",
    ),
    pytest.param(
        "cells/mingru",
        "torch.where(value >= 0, 1.0, below * (1 - below))",
        "torch.where(value >= 0, 1.0, below)",
        "local holds the step's derivatives",
        id="the slope of another curve",
    ),
    pytest.param(
        "cells/minlstm",
        "by_f, by_i = -by_share * torch.sigmoid(-a_f)",
        "by_f, by_i = by_share * torch.sigmoid(-a_f)",
        "local holds the step's derivatives",
        id="a forget gate that remembers less",
    ),
    pytest.param(
        "cells/minlstm",
        "torch.lerp(state[0], positive(a_g), share(a_i, a_f))",
        "torch.lerp(state[0].detach(), positive(a_g), share(a_i, a_f))",
        "its derivative is right",
        id="a state cut off from the one before",
    ),
    pytest.param(
        "clips/hidden",
        "tuple(grad * scale for grad in grads)",
        "tuple(grad.mul_(scale) for grad in grads)",
        "its arguments are left untouched",
        id="clip the message in place",
    ),
    pytest.param(
        "clips/value",
        "{name: grad.clamp(-self.limit, self.limit) for",
        "{name: grad.clamp(-self.limit, self.limit) + 0 * params[name].data.mul_(0.5) for",
        "its arguments are left untouched",
        id="shrink the parameters",
    ),
    pytest.param(
        "clips/value",
        "for name, grad in grads.items()",
        "for name, grad in grads",
        "runs without an error",
        id="a clip that raises",
    ),
    pytest.param(
        "tasks/adding",
        "weights[-1] = 1 / batch_size",
        "weights[-1] = (1 if draw.split == 'train' else 2) / batch_size",
        "weights sum to 1",
        id="validation weights that sum to two",
    ),
    pytest.param(
        "tasks/adding",
        ".mean().item()",
        ".mean().item() * float('nan')",
        "a score is a finite number",
        id="a score that is not a number",
    ),
    pytest.param(
        "tasks/adding",
        "always 1: Var(U1 + U2) = 1/6",
        "",
        "the trivial score is a finite number with its formula",
        id="no formula",
    ),
    pytest.param(
        "tasks/adding",
        "return Trivial(1 / 6",
        "return Trivial(float('inf')",
        "the trivial score is a finite number with its formula",
        id="an infinite trivial score",
    ),
    pytest.param(
        "tasks/adding",
        "return SOLVED",
        "return -float('inf')",
        "solved is a finite number",
        id="a score that nothing reaches",
    ),
    pytest.param(
        "tasks/adding",
        'score_better = "lower"',
        'score_better = "higher"',
        "solved is better than trivial",
        id="the wrong way up",
    ),
    pytest.param(
        "tasks/copy",
        "return self.trivial(length).score / 10",
        "return self.trivial(length) / 10",
        "runs without an error",
        id="a task that raises",
    ),
    pytest.param(
        "tasks/speeches",
        "draw.index * draw.length",
        "0",
        "a stateful task moves on",
        id="the same batch again",
        marks=pytest.mark.data,
    ),
    pytest.param(
        "tasks/speeches",
        "draw.index * draw.length",
        "draw.index * (draw.length + 1)",
        "a stateful task reads on",
        id="skip a character between batches",
        marks=pytest.mark.data,
    ),
    pytest.param(
        "tasks/stocks",
        "returns, size = self.parts[draw.split]",
        "returns, size = self.parts['train']",
        "the valid split is its own",
        id="validate on the training part",
        marks=pytest.mark.data,
    ),
]


@pytest.mark.parametrize(("key", "right", "wrong", "promise"), MUTATIONS)
def test_a_plugin_broken_on_purpose_is_caught(
    key: str, right: str, wrong: str, promise: str, tmp_path: Path
) -> None:
    assert promise in promises_broken_by(mutant(key, right, wrong, tmp_path))


CELL_THAT_RAISES = """
import torch
from harness.contract import Cell

class Picky(Cell):
    def advance(self, x, state):
        if len(x) > 1:
            raise RuntimeError("one at a time")
        return (torch.tanh(x.sum(1, keepdim=True) + state[0]),)
"""


def test_an_error_keeps_what_was_found_before_it_and_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "picky.py"
    file.write_text(CELL_THAT_RAISES)
    *before, last = check(Registry.scan([file]), "cells", Choice("picky"))
    assert [one.verdict for one in before] == ["kept", "kept"]
    assert last == Finding(
        plugin="picky",
        promise="runs without an error",
        place="after T=1 B=1",
        verdict="broken",
        detail="RuntimeError: one at a time (picky.py:8)",
    )


def test_a_missing_data_pack_is_not_the_fault_of_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPTT_DATA", str(tmp_path))
    registry = Registry.scan()
    with pytest.raises(DataError, match="run `bptt fetch stocks`"):
        check(registry, "tasks", Choice("stocks"))
