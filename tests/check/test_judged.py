"""The table of `bptt check --all`: its words come from what was tried, and from nothing else."""

import json
from pathlib import Path

import click
import pytest

from harness.check import Finding, check
from harness.check.gradients import EXACT, SHAPES, SUPPORTS, TRUNCATED, UNBIASED
from harness.check.judged import judge
from harness.cli import check_all
from harness.registry import Registry
from harness.trial import Choice

ROOT = Path(__file__).parent.parent.parent
WHOLE = Registry.scan()


def found(*promises, verdict="kept", detail=""):
    return [Finding("one", promise, "lstm T=2 B=3", verdict, detail) for promise in promises]


def few(*keys, files=()):
    """Return the registry with the named plugins alone, and those of `files`."""
    every = Registry.scan(files).plugins
    return Registry(tuple(one for one in every if one.key in keys or one.path in files))


@pytest.mark.parametrize(
    ("promises", "word"),
    [
        ([SHAPES, EXACT, SHAPES, EXACT], "exact"),
        ([SHAPES, EXACT, SHAPES], "approximate"),  # at one length nothing was compared
        ([SHAPES, EXACT, SHAPES, TRUNCATED], "truncated"),
        ([SHAPES, EXACT, SHAPES, UNBIASED, SHAPES], "unbiased"),
        ([SHAPES], "approximate"),
        ([], "approximate"),  # nothing tried is never exact
    ],
)
def test_the_weakest_comparison_gives_the_word(promises, word):
    assert judge("one", "lstm", found(*promises)).word == word


@pytest.mark.parametrize("promise", [SHAPES, EXACT, "a hook sees every step"])
def test_one_broken_promise_disagrees_whatever_else_was_kept(promise):
    findings = [*found(SHAPES, EXACT), *found(promise, verdict="broken", detail="off by 2")]
    judged = judge("one", "lstm", findings)
    assert judged.word == "DISAGREES"
    assert judged.reason == f"{promise}, lstm T=2 B=3: off by 2"


def test_what_is_refused_is_unsupported_with_its_reason():
    judged = judge("one", "lstm", found(SUPPORTS, verdict="skipped", detail="no kernel"))
    assert (judged.word, judged.reason) == ("unsupported", "no kernel")


@pytest.mark.parametrize(
    ("method", "word"),
    [("full_bptt", "exact"), ("spatial", "truncated"), ("eprop", "approximate")],
)
def test_a_method_is_what_its_promises_show(method, word):
    registry = few(f"gradients/{method}", "cells/elman")
    assert judge(method, "elman", check(registry, "gradients", Choice(method))).word == word


MUTANT = (
    '"""Full BPTT, with half of its gradient.\n\nSource: a test.\n"""\n\n'
    "from harness.contract import Gradient, GradientMethod\n"
    "from harness.model import detach\n\n\n"
    "class Half(GradientMethod):\n"
    '    def claim(self, length, cell):\n        return "exact"\n\n'
    "    def gradient(self, model, window, carry, hook=None):\n"
    "        hidden, state = model.roll(window.inputs, carry, window.start, hook)\n"
    "        loss = model.loss(hidden, window.targets, window.weights)\n"
    "        whole = model.gradient_of(loss)\n"
    "        half = {name: grad / 2 for name, grad in whole.params.items()}\n"
    "        return Gradient(whole.loss, half), detach(state)\n"
)


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugins") / "half.py"
    file.write_text(MUTANT)
    keys = ("gradients/native", "gradients/spatial", "cells/elman", "cells/leaky", "clips/norm")
    return check_all.try_all(few(*keys, files=(file,)))


def test_the_table_has_a_word_for_every_method_and_cell(tried):
    words = {(one.method, one.cell): one.word for one in check_all.judgements(tried)}
    assert words == {
        ("native", "elman"): "exact",
        ("native", "leaky"): "unsupported",
        ("spatial", "elman"): "truncated",
        ("spatial", "leaky"): "truncated",
        ("half", "elman"): "DISAGREES",
        ("half", "leaky"): "DISAGREES",
    }


def test_what_is_kept_is_counted_and_only_what_is_broken_is_told(tried):
    said = [click.unstyle(line) for line in check_all.lines(tried)]
    assert not [line for line in said if line.startswith("kept")]
    assert any(f"half  {EXACT}, elman T=1 B=1: " in line for line in said)
    assert said[-1].endswith(f"promises kept, {sum(len(one.broken) for one in tried)} broken")
    (row,) = [line for line in said if line.startswith("native")]
    assert row.split() == ["native", "exact", "unsupported", "a"]
    assert "a  the cell has no fused kernel for `native` to call" in said
    assert "clips      1 keep their promises: norm" in said


def test_the_table_is_there_for_machines_too(tried):
    lines = [json.loads(line) for line in check_all.json_lines(tried)]
    judged = [line for line in lines if line["kind"] == "judged"]
    assert {line["word"] for line in judged} >= {"exact", "truncated", "unsupported", "DISAGREES"}
    findings = [line for line in lines if line["kind"] != "judged"]
    assert {line["verdict"] for line in findings} == {"kept", "broken", "skipped"}


def test_a_plugin_that_cannot_be_tried_is_told_and_stops_nothing(tmp_path):
    file = tmp_path / "implementations" / "gradients" / "torn.py"
    file.parent.mkdir(parents=True)
    file.write_text("def (")
    tried = check_all.try_all(Registry.scan(root=tmp_path))
    assert [one.plugin.name for one in tried if one.untried] == ["torn"]
    assert [line for line in check_all.lines(tried) if line.startswith("not tried  gradients/torn")]
