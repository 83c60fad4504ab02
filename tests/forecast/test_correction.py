"""What was seen corrects estimates: of the same point most, of others as far as they are alike."""

import math
import random

import pytest

from harness.forecast.correction import Corrections

HERE = (("speed",), ("speed", "lstm"), ("speed", "lstm", "full"), ("speed", "lstm", "full", "64"))
NEAR = (*HERE[:3], ("speed", "lstm", "full", "128"))
FAR = (("speed",), ("speed", "gru"), ("speed", "gru", "cut"), ("speed", "gru", "cut", "64"))
OTHER = (("memory",), ("memory", "lstm"))


def test_nothing_seen_corrects_nothing():
    assert Corrections(0.3).factor(HERE) == 1.0


def test_what_is_more_alike_is_corrected_more():
    made = Corrections(0.3)
    made.learn(HERE, 1.0, 2.0)
    factors = [made.factor(levels) for levels in (HERE, NEAR, FAR, OTHER)]
    assert factors == sorted(factors, reverse=True)
    assert 1.5 < factors[0] < 2.0
    assert factors[-1] == 1.0


def test_one_point_that_is_unlike_its_company_is_learned_apart():
    made = Corrections(0.3)
    for _ in range(20):
        made.learn(HERE, 1.0, 1.0)
        made.learn(NEAR, 1.0, 3.0)
    assert made.factor(NEAR) == pytest.approx(3.0, rel=0.1)
    assert made.factor(HERE) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("noise", [0.05, 0.4])
def test_nine_of_ten_estimates_are_within_the_spread(noise):
    chance, made, within = random.Random(1), Corrections(0.3), 0
    for _ in range(400):
        truth = 1.7 * chance.lognormvariate(0, noise)
        off = abs(math.log(truth / made.factor(HERE)))
        within += off <= math.log1p(made.spread)
        made.learn(HERE, 1.0, truth)
    assert 0.87 < within / 400 < 0.99  # too sure, too cautious


def test_the_spread_shrinks_as_estimates_prove_good():
    made = Corrections(0.5)
    before = made.spread
    for _ in range(30):
        made.learn(HERE, 1.0, 1.0)
    assert made.spread < before / 3
