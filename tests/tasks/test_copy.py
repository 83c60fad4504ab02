from __future__ import annotations

import math

import pytest
import torch

from harness.contract import Batch, Draw
from tasks.copy import Copy


def drawn(length: int, batch_size: int, seed: int = 0) -> Batch:
    return Copy().batch(Draw(length, batch_size), torch.Generator().manual_seed(seed))


def guess_without_memory(length: int, batch_size: int) -> torch.Tensor:
    """Logits: the blank for certain until the recall, then any of the 8 symbols."""
    chance = torch.zeros(length, batch_size, 9)
    chance[:-10, :, 0] = 1
    chance[-10:, :, 1:] = 1 / 8
    return chance.log()


@pytest.mark.parametrize("length", [21, 57, 120])
def test_a_guess_without_memory_scores_the_trivial_baseline(length):
    score = Copy().score(guess_without_memory(length, 7), drawn(length, 7))
    assert score == pytest.approx(Copy().trivial(length).score, rel=1e-5)  # float32


@pytest.mark.parametrize(
    ("delay", "nats"), [(100, 0.1733), (200, 0.0945), (500, 0.0400), (1000, 0.02039)]
)
def test_the_baseline_is_ten_ln_8_over_delay_plus_20(delay, nats):
    assert Copy().trivial(delay + 20).score == pytest.approx(nats, abs=5e-5)


@pytest.mark.parametrize("delay", [1, 2, 30])
def test_a_sequence_is_symbols_silence_signal_and_recall(delay):
    batch = drawn(delay + 20, 3)
    heard = batch.inputs.argmax(-1).T.tolist()
    asked = batch.targets.T.tolist()
    for inputs, targets in zip(heard, asked, strict=True):
        symbols = inputs[:10]
        assert set(symbols) <= set(range(1, 9))
        assert inputs == symbols + [0] * (delay - 1) + [9] + [0] * 10
        assert targets == [0] * (delay + 10) + symbols


def test_inputs_are_one_hot():
    inputs = drawn(30, 4).inputs
    assert inputs.sum(-1).eq(1).all()
    assert inputs.max(-1).values.eq(1).all()


def test_all_eight_symbols_are_equally_likely():
    counts = torch.bincount(drawn(21, 8_000).targets[-10:].flatten(), minlength=9)
    assert counts[0] == 0
    assert (counts[1:] - 10_000).abs().max() < 5 * (80_000 * 7 / 64) ** 0.5  # 5 sd of a count


def test_knowing_every_symbol_solves_the_task():
    batch = drawn(40, 4)
    perfect = torch.nn.functional.one_hot(batch.targets, 9) * 50.0
    assert Copy().score(perfect, batch) < Copy().solved(40)
    assert Copy().solved(40) == pytest.approx(math.log(8) / 10 * 10 / 40)


def test_the_weighted_loss_is_the_score_and_weights_sum_to_one():
    batch, outputs = drawn(33, 5), torch.randn(33, 5, 9)
    loss = (Copy().loss(outputs, batch.targets) * batch.weights).sum().item()
    assert loss == pytest.approx(Copy().score(outputs, batch), rel=1e-5)  # float32
    assert batch.weights.double().sum().item() == pytest.approx(1, rel=1e-6)


def test_a_loss_is_one_number_a_prediction_for_any_leading_shape():
    output, target = torch.randn(4, 3, 9), torch.randint(9, (4, 3))
    whole = Copy().loss(output, target)
    assert whole[2, 1] == Copy().loss(output[2, 1], target[2, 1])
    assert torch.equal(whole[2], Copy().loss(output[2], target[2]))


def test_the_generator_alone_decides_the_batch():
    assert torch.equal(drawn(25, 5).inputs, drawn(25, 5).inputs)
    assert not torch.equal(drawn(25, 5).inputs, drawn(25, 5, seed=1).inputs)


def test_a_sequence_without_a_delay_is_refused():
    assert Copy().refuses(Draw(20, 1)) == (
        "copy says 10 symbols twice and waits between: it needs at least 21 steps, not 20"
    )
    assert Copy().refuses(Draw(21, 1)) is None
