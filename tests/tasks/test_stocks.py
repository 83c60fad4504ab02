from __future__ import annotations

import csv
import gzip
import math
import statistics
from itertools import pairwise

import pytest
import torch

from harness import data
from harness.contract import Batch, Draw
from tasks.stocks import Stocks

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def stocks() -> Stocks:
    data.fetch("stocks")
    return Stocks()


@pytest.fixture(scope="module")
def rows(stocks: Stocks) -> list[dict[str, str]]:
    (packed,) = data.read("stocks").values()
    return list(csv.DictReader(gzip.decompress(packed).decode().splitlines()))


def drawn(stocks: Stocks, draw: Draw, seed: int = 0) -> Batch:
    return stocks.batch(draw, torch.Generator().manual_seed(seed))


def test_the_parts_are_all_days_in_order(stocks, rows):
    prices = [float(row["KO"]) for row in rows]
    returns = [math.log(new / old) for old, new in pairwise(prices)]
    column = list(rows[0])[1:].index("KO")
    got = torch.cat([stocks.parts["train"], stocks.parts["valid"]])[:, column]
    deviation = statistics.pstdev(returns[: len(stocks.parts["train"])])
    torch.testing.assert_close(got, torch.tensor([r / deviation for r in returns]))


def test_four_fifths_of_the_days_are_for_training(stocks):
    assert [tuple(part.shape) for part in stocks.parts.values()] == [(6649, 20), (1663, 20)]


def test_every_stock_has_unit_deviation_over_the_training_part_only(stocks):
    torch.testing.assert_close(stocks.parts["train"].std(0, correction=0), torch.ones(20))
    assert (stocks.parts["valid"].std(0) - 1).abs().min() > 1e-3


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize(("length", "batch_size"), [(1, 1), (7, 3), (1662, 4)])
def test_every_sequence_is_a_run_of_days_inside_its_split(stocks, split, length, batch_size):
    part = stocks.parts[split]
    batch = drawn(stocks, Draw(length, batch_size, split=split))
    for b in range(batch_size):
        (start,) = torch.nonzero((part[:-length] == batch.inputs[0, b]).all(1)).flatten().tolist()
        assert torch.equal(batch.inputs[:, b], part[start : start + length])
        assert torch.equal(batch.targets[:, b], part[start + 1 : start + length + 1])


def test_every_possible_start_is_drawn(stocks):
    length = 1660  # leaves the starts 0, 1 and 2 of 1,663 days
    batch = drawn(stocks, Draw(length, 64, split="valid"))
    first = {tuple(day) for day in batch.inputs[0].tolist()}
    assert first == {tuple(day) for day in stocks.parts["valid"][:3].tolist()}


def test_forecasting_no_change_scores_exactly_one(stocks):
    batch = drawn(stocks, Draw(50, 8, split="valid"))
    assert stocks.score(torch.zeros_like(batch.targets), batch) == 1.0
    assert stocks.trivial(50).score == 1.0


@pytest.mark.parametrize(("share", "score"), [(1.0, 0.0), (0.75, 0.25), (2.0, 1.0), (-1.0, 2.0)])
def test_a_forecast_scores_its_root_mean_squared_error_over_no_change(stocks, share, score):
    batch = drawn(stocks, Draw(30, 4))
    assert stocks.score(share * batch.targets, batch) == pytest.approx(score, rel=1e-6)


def test_the_loss_is_the_mean_square_over_stocks_and_weights_sum_to_one(stocks):
    batch = drawn(stocks, Draw(11, 3))
    loss = stocks.loss(torch.zeros_like(batch.targets), batch.targets)
    want = sum(float(r) ** 2 for r in batch.targets[4, 2]) / 20
    assert loss.shape == (11, 3)
    assert loss[4, 2].item() == pytest.approx(want, rel=1e-5)  # float32
    assert batch.weights.double().sum().item() == pytest.approx(1, rel=1e-6)


def test_the_generator_alone_decides_the_batch(stocks):
    one, two = (drawn(stocks, Draw(9, 5)) for _ in range(2))
    assert torch.equal(one.inputs, two.inputs)
    assert not torch.equal(one.inputs, drawn(stocks, Draw(9, 5), seed=1).inputs)


def test_a_sequence_as_long_as_its_split_is_refused(stocks):
    assert stocks.refuses(Draw(1663, 2, split="valid")) == (
        "stocks has 1663 days in its valid part: a sequence can have at most 1662 steps, not 1663"
    )
    assert stocks.refuses(Draw(1662, 2, split="valid")) is None
    assert stocks.refuses(Draw(1663, 2, split="train")) is None
