"""A gradient method that cuts, broken on purpose: an identity of its own, or a promise, breaks."""

from pathlib import Path

import pytest
from identities import IDENTITIES
from mutants import module_of, mutant, promises_broken_by

MUTATIONS = [
    pytest.param(
        "truncated_bptt",
        "len(past[0][1]) >= self.depth - 1:",
        "len(past[0][1]) >= self.depth - 2:",
        "is each window unrolled alone",
        id="truncated_bptt: forget a window too early",
    ),
    pytest.param(
        "truncated_bptt",
        "skipped = max(0, len(inputs) - steps)",
        "skipped = 0",
        "is each window unrolled alone",
        id="truncated_bptt: look back by whole windows",
    ),
    pytest.param(
        "truncated_bptt",
        "hidden[again:], window.targets",
        "hidden[: len(window)], window.targets",
        "is each window unrolled alone",
        id="truncated_bptt: the losses of the oldest steps",
    ),
    pytest.param(
        "truncated_bptt",
        "past = self.recent([*past, (state, window.inputs)])",
        "past = self.recent([(state, window.inputs), *past])",
        "is each window unrolled alone",
        id="truncated_bptt: the past back to front",
    ),
    pytest.param(
        "artbp",
        "factor = 1 / (1 - self.hazard(steps))",
        "factor = 1",
        "averages to full BPTT over every way to cut",
        id="artbp: drop the factor",
    ),
    pytest.param(
        "artbp",
        "1 / (1 - self.hazard(steps))",
        "1 / (1 - self.hazard(steps + 1))",
        "averages to full BPTT over every way to cut",
        id="artbp: the factor of the step after",
    ),
    pytest.param(
        "artbp",
        "factor * part for part in message",
        "part for part in (factor * message[0], *message[1:])",
        "averages to full BPTT over every way to cut",
        id="artbp: weigh one part of the state",
    ),
    pytest.param(
        "artbp",
        "return loss, detach(state)",
        "return loss, tuple(map(torch.zeros_like, state))",
        "averages to full BPTT over every way to cut",
        id="artbp: forget the state at a cut",
    ),
    pytest.param(
        "artbp",
        "(self.alpha - 2) * self.mean_length",
        "(self.alpha - 1) * self.mean_length",
        "has segments of the mean length",
        id="artbp: another law",
    ),
    pytest.param(
        "artbp",
        "                steps = 0",
        "                steps = 1",
        "cuts by its hazard",
        id="artbp: count on from a cut",
    ),
    pytest.param(
        "telescoping_roulette",
        "inverse = [self.ratio**-n for",
        "inverse = [1.0 for",
        "averages to full BPTT over every N",
        id="telescoping_roulette: drop the weights",
    ),
    pytest.param(
        "telescoping_roulette",
        "reached = [self.ratio**n for",
        "reached = [self.ratio ** (2 * n) for",
        "averages to full BPTT over every N",
        id="telescoping_roulette: stop sooner than the weights say",
    ),
    pytest.param(
        "telescoping_single",
        "[-weight, weight]",
        "[0.0, weight]",
        "averages to full BPTT over every sample",
        id="telescoping_single: a gradient for a difference",
    ),
    pytest.param(
        "telescoping_single",
        "weight = 1 / chances[drawn - 1]",
        "weight = 1.0",
        "averages to full BPTT over every sample",
        id="telescoping_single: drop the weight",
    ),
    pytest.param(
        "dni",
        "[torch.ones_like(loss), *self.synthetic.guess(model.cell, end)]",
        "[torch.ones_like(loss), *map(torch.zeros_like, end)]",
        "with true guesses is full BPTT",
        id="dni: ignore the guess",
    ),
    pytest.param(
        "dni",
        "        self.awaiting = end\n",
        "        self.awaiting = carry\n",
        "is told the message that should have come",
        id="dni: teach the state of a window earlier",
    ),
    pytest.param(
        "dni",
        "self.synthetic.learn(model.cell, self.awaiting, nothing)",
        "self.awaiting = None",
        "is told the message that should have come",
        id="dni: never learn that a sequence ends",
    ),
    pytest.param(
        "dni",
        "missing.T @ seen",
        "missing.sum(0, keepdim=True).T @ seen.sum(0, keepdim=True)",
        "learns a linear message",
        id="dni: one lesson for all sequences",
    ),
    pytest.param(
        "dni",
        "self.rate / seen.square().sum()",
        "self.rate",
        "learns a linear message",
        id="dni: a step that knows no scale",
    ),
    pytest.param(
        "adaptive_truncation",
        "/ (1 - math.exp(slope))",
        "",
        "is as deep as the closed form",
        id="adaptive_truncation: forget the tail",
    ),
    pytest.param(
        "adaptive_truncation",
        "slope * (K - onset)",
        "slope * K",
        "is as deep as the closed form",
        id="adaptive_truncation: count the tail from lag 0",
    ),
    pytest.param(
        "adaptive_truncation",
        "sum(sizes[K:onset]) + ",
        "",
        "is as deep as the closed form",
        id="adaptive_truncation: forget what lies before the onset",
    ),
    pytest.param(
        "adaptive_truncation",
        "messages.mean(1).cumsum(0).norm(dim=1)",
        "messages.mean(1).norm(dim=1)",
        "is as deep as the closed form",
        id="adaptive_truncation: the last lag for the sum",
    ),
    pytest.param(
        "adaptive_truncation",
        "dropped[K] < self.bias * total",
        "dropped[K] < self.bias",
        "is as deep as the closed form",
        id="adaptive_truncation: an absolute bias",
    ),
    pytest.param(
        "adaptive_truncation",
        "return self.truncation.keeps(length)",
        "return truncation(1).keeps(length)",
        "truncated: equals its own definition",
        id="adaptive_truncation: keeps that is another depth's",
    ),
]


@pytest.mark.parametrize(("name", "right", "wrong", "caught_by"), MUTATIONS)
def test_a_method_that_cuts_broken_on_purpose_is_caught(
    name: str, right: str, wrong: str, caught_by: str, tmp_path: Path
) -> None:
    file = mutant(f"gradients/{name}", right, wrong, tmp_path)
    if caught_by not in IDENTITIES:
        assert caught_by in promises_broken_by(file)
        return
    with pytest.raises(AssertionError):
        IDENTITIES[caught_by].holds(module_of(file))
