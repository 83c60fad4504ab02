from __future__ import annotations

import pytest
import torch

from harness.contract import Batch, Draw
from tasks.adding import Adding


def drawn(length: int, batch_size: int, seed: int = 0) -> Batch:
    return Adding().batch(Draw(length, batch_size), torch.Generator().manual_seed(seed))


def test_always_saying_one_scores_a_sixth():
    batch = drawn(50, 200_000)
    score = Adding().score(torch.ones(50, 200_000, 1), batch)
    # the squared error of a sum of two uniforms has variance E[x⁴] - 1/36 = 1/15 - 1/36
    standard_error = ((1 / 15 - 1 / 36) / 200_000) ** 0.5
    assert abs(score - Adding().trivial(50).score) < 5 * standard_error
    assert Adding().trivial(50).score == pytest.approx(1 / 6)


def test_knowing_one_of_the_two_numbers_does_not_count_as_solved():
    batch = drawn(20, 100_000)
    values, marks = batch.inputs.unbind(-1)
    early = (values * marks)[:10].sum(0)
    score = Adding().score((early + 0.5).expand(20, -1)[..., None], batch)
    assert score == pytest.approx(1 / 12, rel=0.02)  # Var(U); 1 % is 2 standard errors
    assert score > Adding().solved(20)


@pytest.mark.parametrize("length", [2, 3, 7, 10])
def test_each_half_has_one_mark_and_the_target_is_their_sum(length):
    batch = drawn(length, 64)
    values, marks = batch.inputs.unbind(-1)
    half = length // 2
    assert (marks[:half].sum(0) == 1).all()
    assert (marks[half:].sum(0) == 1).all()
    sums = [(values[:, b][marks[:, b] == 1]).sum() for b in range(64)]
    torch.testing.assert_close(batch.targets[-1], torch.stack(sums))


def test_every_step_of_a_half_is_marked_equally_often():
    marks = drawn(5, 60_000).inputs[..., 1].sum(1)
    want = torch.tensor([30_000.0, 30_000, 20_000, 20_000, 20_000])
    assert (marks - want).abs().max() < 5 * 15_000**0.5  # 5 standard deviations of a count


def test_only_the_last_step_weighs():
    weights = drawn(9, 3).weights
    assert weights[:-1].eq(0).all()
    torch.testing.assert_close(weights[-1], torch.full((3,), 1 / 3))


def test_the_weighted_loss_is_the_score():
    batch, outputs = drawn(9, 5), torch.randn(9, 5, 1)
    loss = (Adding().loss(outputs, batch.targets) * batch.weights).sum().item()
    assert loss == pytest.approx(Adding().score(outputs, batch))


def test_the_generator_alone_decides_the_batch():
    assert torch.equal(drawn(9, 5).inputs, drawn(9, 5).inputs)
    assert not torch.equal(drawn(9, 5).inputs, drawn(9, 5, seed=1).inputs)


def test_one_step_is_refused_and_two_are_not():
    assert Adding().refuses(Draw(1, 4)) == (
        "adding marks two numbers: it needs at least 2 steps, not 1"
    )
    assert Adding().refuses(Draw(2, 4)) is None
