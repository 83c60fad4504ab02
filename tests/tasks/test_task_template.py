from __future__ import annotations

import pytest
import torch

from harness.contract import Batch, Draw
from tasks._template import Echo


def drawn(task: Echo, length: int, batch_size: int) -> Batch:
    return task.batch(Draw(length, batch_size), torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("delay", "length"), [(1, 2), (3, 10), (4, 5)])
def test_the_target_is_the_input_some_steps_ago(delay, length):
    batch = drawn(Echo(delay), length, 6)
    assert torch.equal(batch.targets[delay:], batch.inputs[:-delay, :, 0])


def test_steps_with_nothing_to_repeat_weigh_nothing_and_the_others_sum_to_one():
    weights = drawn(Echo(3), 10, 4).weights
    assert weights[:3].eq(0).all()
    assert weights[3:].unique().numel() == 1
    assert weights.double().sum().item() == pytest.approx(1, rel=1e-6)


def test_a_coin_scores_a_half_and_a_perfect_memory_one():
    task, coin = Echo(2), torch.Generator().manual_seed(1)
    batch = drawn(task, 12, 10_000)
    guesses = torch.randn(12, 10_000, 1, generator=coin)
    assert task.score(guesses, batch) == pytest.approx(task.trivial(12).score, abs=0.008)  # 5 sd
    assert task.score(batch.targets[..., None] - 0.5, batch) == pytest.approx(1)


def test_a_sequence_no_longer_than_the_delay_is_refused():
    assert Echo(3).refuses(Draw(3, 1)) == "echo needs more than delay = 3 steps, not 3"
    assert Echo(3).refuses(Draw(4, 1)) is None


def test_a_delay_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="delay must be at least 1 step, not 0"):
        Echo(0)


def test_a_small_network_solves_the_template_task():
    task, chance = Echo(delay=1), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    cell, readout = torch.nn.RNN(1, 8), torch.nn.Linear(8, 1)
    params = [*cell.parameters(), *readout.parameters()]
    for index in range(100):
        batch = task.batch(Draw(10, 16, index), chance)
        loss = (task.loss(readout(cell(batch.inputs)[0]), batch.targets) * batch.weights).sum()
        with torch.no_grad():
            for param, grad in zip(params, torch.autograd.grad(loss, params), strict=True):
                param -= 1.0 * grad
    batch = task.batch(Draw(10, 64, split="valid"), chance)
    assert task.score(readout(cell(batch.inputs)[0]), batch) >= task.solved(10)
