"""Stocks: tomorrow's returns of 20 stocks from all their returns so far.

Daily log returns, 1990 to 2022, each stock divided by its standard deviation over the training
part and not centred, so that 0 still means "the price stays". The last fifth of the days is for
validation. Each sequence is a run of consecutive days of one split, from a random day on.

Source: the package skfolio 1.12.2 (BSD-3-Clause), prices of 20 stocks of the S&P 500.
These 20 were picked by hand because they survived: their history flatters any strategy. Prices are
rounded to 0.001, which is 0.4 % of the cheapest. A score is a forecast's error, not a profit.
"""

import gzip
import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from harness import data
from harness.contract import Batch, Draw, Split, Task, Trivial

STOCKS = 20
TRAINING = 0.8  # share of the days
SOLVED = 0.99  # 1 - 0.99² = 2 % of the variance of tomorrow's returns, out of sample


@dataclass
class Stocks(Task):
    """Next-day returns of 20 stocks."""

    packs = ("stocks",)
    score_name = "Theil's U (error relative to no change)"
    score_better = "lower"

    @property
    def input_size(self) -> int:
        """Return one return a stock."""
        return STOCKS

    @property
    def output_size(self) -> int:
        """Return one return a stock."""
        return STOCKS

    @cached_property
    def parts(self) -> dict[Split, Tensor]:
        """Return the standardised returns of each split, (days, stocks)."""
        (packed,) = data.read("stocks").values()
        table = io.BytesIO(gzip.decompress(packed))
        prices = np.loadtxt(table, delimiter=",", skiprows=1, usecols=range(1, STOCKS + 1))
        returns = np.diff(np.log(prices), axis=0)
        end = int(TRAINING * len(returns))
        scaled = torch.from_numpy(returns / returns[:end].std(axis=0)).float()
        return {"train": scaled[:end], "valid": scaled[end:]}

    def refuses(self, draw: Draw) -> str | None:
        """Return why a split is too short to hold the sequence and its last target."""
        days = len(self.parts[draw.split])
        if draw.length >= days:
            return (
                f"stocks has {days} days in its {draw.split} part: a sequence can have at most "
                f"{days - 1} steps, not {draw.length}"
            )
        return None

    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        """Return runs of days from random days on; every day weighs the same."""
        returns, size = self.parts[draw.split], (draw.length, draw.batch_size)
        starts = torch.randint(len(returns) - draw.length, size[1:], generator=generator)
        days = returns[torch.arange(draw.length + 1)[:, None] + starts]  # (T + 1, B, stocks)
        return Batch(days[:-1], days[1:], torch.full(size, 1 / (size[0] * size[1])))

    def loss(
        self, output: Float[Tensor, "*N O"], target: Shaped[Tensor, "*N O"]
    ) -> Float[Tensor, "*N"]:
        """Return the squared error, averaged over the stocks."""
        return (output - target).square().mean(-1)

    def score(self, outputs: Float[Tensor, "T B O"], batch: Batch) -> float:
        """Return the root mean squared error over that of forecasting no change."""
        error = self.loss(outputs, batch.targets).mean()
        unchanged = batch.targets.square().mean()
        return (error / unchanged).sqrt().item()

    def trivial(self, length: int) -> Trivial:
        """Return the score of today's price as the forecast of tomorrow's."""
        return Trivial(1.0, "no change: the price of tomorrow is that of today, U = 1")

    def solved(self, length: int) -> float:
        """Return a chosen threshold: daily returns are all but unpredictable."""
        return SOLVED
