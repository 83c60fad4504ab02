"""What the check of an average says where the draws that it has are all alike."""

import pytest

from harness.check import Finding, check
from harness.check.gradients import UNBIASED
from harness.check.judged import judge
from harness.registry import Registry
from harness.trial import Choice

MUTANT = (
    '"""A share of full BPTT, which no chance enters.\n\nSource: a test.\n"""\n\n'
    "from harness.contract import Gradient, GradientMethod\n"
    "from harness.model import detach\n\n\n"
    "class Share(GradientMethod):\n"
    '    def claim(self, length, cell):\n        return "unbiased"\n\n'
    "    def gradient(self, model, window, carry, hook=None):\n"
    "        hidden, state = model.roll(window.inputs, carry, window.start, hook)\n"
    "        whole = model.gradient_of(model.loss(hidden, window.targets, window.weights))\n"
    "        part = {name: SHARE * grad for name, grad in whole.params.items()}\n"
    "        return Gradient(whole.loss, part), detach(state)\n"
)


def tried(choice, files=()):
    """Return every finding about a gradient method on the smallest cell."""
    every = Registry.scan(files).plugins
    few = Registry(tuple(one for one in every if one.kind != "cells" or one.name == "elman"))
    return check(few, "gradients", choice)


def averaged(findings: tuple[Finding, ...]) -> list[str]:
    """Return the verdicts on averages, at T = 2 and 7."""
    lengths = ("T=2 ", "T=7 ")
    found = [one for one in findings if one.promise == UNBIASED]
    return [one.verdict for one in found if any(length in one.place for length in lengths)]


def test_where_no_cut_falls_in_any_draw_nothing_is_said_of_the_mean():
    choice = Choice("artbp", {"mean_length": 1e4})  # a cut in 8,000 steps
    findings = tried(choice)
    assert averaged(findings) == ["skipped", "skipped"]
    assert "broken" not in {one.verdict for one in findings}
    judged = judge("artbp", "elman", findings)
    assert judged.word == "undecided"
    assert judged.reason.startswith("no chance entered 24 runs")


def test_a_chance_that_is_certain_and_right_is_right():
    findings = tried(Choice("telescoping_roulette", {"shortest": 1, "ratio": 1.0}))
    assert averaged(findings) == ["kept", "kept"]
    assert judge("roulette", "elman", findings).word == "unbiased"


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "kept"), (0.99, "skipped"), (0.5, "broken")])
def test_a_gradient_without_chance_is_caught_where_no_rare_draw_explains_it(
    share, verdict, tmp_path
):
    file = tmp_path / "share.py"
    file.write_text(MUTANT.replace("SHARE", str(share)))
    assert averaged(tried(Choice("share"), [file])) == [verdict, verdict]


def test_what_says_unbiased_where_no_average_is_tried_is_not_called_biased():
    findings = tried(Choice("telescoping_roulette", {"shortest": 8}))  # exact at T = 1, 2 and 7
    (skipped,) = [one for one in findings if one.promise == UNBIASED]
    assert (skipped.place, skipped.verdict) == ("elman T=67 B=2", "skipped")
    assert judge("roulette", "elman", findings).word == "undecided"
