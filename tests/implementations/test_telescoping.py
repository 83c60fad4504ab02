"""Randomised telescoping against full BPTT over every N, each with its probability."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import batch_of, gradient_by, model_of, relative_error
from rigs import rig_of
from torch.utils.flop_counter import FlopCounterMode
from truncation_identities import ROUNDING, drawn, mean_over_horizons

from harness.contract import Batch, Gradients
from harness.measure.memory import measure
from harness.model import Model
from harness.oracle import exact_gradient
from harness.trial import Choice
from implementations.gradients import _telescoping
from implementations.gradients.telescoping_roulette import TelescopingRoulette
from implementations.gradients.telescoping_single import TelescopingSingle
from implementations.gradients.truncated_bptt import TruncatedBPTT

Telescoping = TelescopingRoulette | TelescopingSingle

METHODS = [
    TelescopingRoulette(1),
    TelescopingRoulette(3, 0.7),
    TelescopingSingle(1),
    TelescopingSingle(3, 0.7),
]


@pytest.mark.parametrize("cell", EVERY_CELL)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_mean_over_all_horizons_is_full_bptt(cell: str, method: Telescoping) -> None:
    for length in (1, 2, 9):
        model, batch = model_with(cell), batch_of(length)
        mean = mean_over_horizons(method, model, batch)
        assert relative_error(mean, exact_gradient(model, batch).params) < ROUNDING


class UnweighedRoulette(TelescopingRoulette):
    """The control: the differences as they are, which add up to G_N."""

    def weights(self, drawn: int) -> list[float]:
        return [0.0] * (drawn - 1) + [1.0]


class LyingSingle(TelescopingSingle):
    """The control: another distribution than N is drawn from."""

    def chances(self, levels: int) -> list[float]:
        return super().chances(levels)[::-1]


def test_the_roulette_without_its_weights_is_biased() -> None:
    model, batch = model_of("lstm"), batch_of(9)
    mean = mean_over_horizons(UnweighedRoulette(1), model, batch)
    assert relative_error(mean, exact_gradient(model, batch).params) > 1e-2


def test_a_single_sample_weighed_by_other_chances_is_biased() -> None:
    model, batch = model_of("lstm"), batch_of(9)
    total: Gradients = {}
    for n, chance in enumerate(TelescopingSingle(1).chances(5), 1):
        grads = drawn(LyingSingle(1), model, batch, n)
        total = {name: total.get(name, 0) + chance * grad for name, grad in grads.items()}
    assert relative_error(total, exact_gradient(model, batch).params) > 1e-2


def truncated(model: Model, batch: Batch, steps: int) -> Gradients:
    return gradient_by(TruncatedBPTT(steps, steps), model, batch)


def test_horizons_double_up_to_the_whole_sequence() -> None:
    assert _telescoping.horizons(3, 20) == [3, 6, 12, 20]
    assert _telescoping.horizons(4, 16) == [4, 8, 16]
    assert _telescoping.horizons(4, 3) == [3]


def test_a_single_sample_is_one_difference_of_truncations() -> None:
    model, batch = model_of("gru"), batch_of(8)
    method = TelescopingSingle(2)  # horizons 2, 4, 8 with chances 4, 2, 1 in 7
    got = drawn(method, model, batch, 3)
    deep, shallow = truncated(model, batch, 8), truncated(model, batch, 4)
    want = {name: 7 * (deep[name] - shallow[name]) for name in deep}
    cell = [name for name in want if name.startswith("cell.")]
    assert relative_error({n: got[n] for n in cell}, {n: want[n] for n in cell}) < ROUNDING


def test_the_roulette_divides_each_difference_by_the_chance_to_reach_it() -> None:
    model, batch = model_of("gru"), batch_of(8)
    got = drawn(TelescopingRoulette(2, 0.5), model, batch, 3)
    one, two, three = (truncated(model, batch, steps) for steps in (2, 4, 8))
    want = {n: one[n] + 2 * (two[n] - one[n]) + 4 * (three[n] - two[n]) for n in one}
    assert relative_error(got, want) < ROUNDING


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_readout_has_its_whole_gradient_in_every_draw(method: Telescoping) -> None:
    model, batch = model_of("lstm"), batch_of(9)
    exact = exact_gradient(model, batch).params
    for n in (1, 2):
        got = drawn(method, model, batch, n)
        readout = [name for name in exact if name.startswith("readout.")]
        assert relative_error({n: got[n] for n in readout}, {n: exact[n] for n in readout}) < 1e-14


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_chances_are_those_of_the_roulette_or_of_one_sample(method: Telescoping) -> None:
    chances = method.chances(5)
    assert sum(chances) == pytest.approx(1.0)
    reached = [sum(chances[n:]) for n in range(5)]
    falling: Sequence[float] = reached if isinstance(method, TelescopingRoulette) else chances
    ratios = [later / sooner for sooner, later in pairwise(falling)]
    assert ratios == pytest.approx([method.ratio] * 4)


def test_draws_fall_as_chances_say() -> None:
    generator, chances = torch.Generator().manual_seed(0), [0.5, 0.3, 0.2]
    draws = [_telescoping.draw(chances, generator) for _ in range(2000)]
    for n, chance in enumerate(chances, 1):  # four standard deviations of a share
        assert draws.count(n) / 2000 == pytest.approx(chance, abs=4 * (chance / 2000) ** 0.5)


@pytest.mark.parametrize("name", ["telescoping_roulette", "telescoping_single"])
def test_flops_are_those_that_torch_counts_on_average_over_chance(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"cell": Choice("gru"), "sequence_length": 40}
    rig = rig_of("speed", name, params={"shortest": 10}, **settings)
    assert isinstance(rig.method, Telescoping)
    batch, counted = rig.batch(), 0.0
    for n, chance in enumerate(rig.method.chances(3), 1):
        monkeypatch.setattr(_telescoping, "draw", lambda chances, generator, n=n: n)
        with FlopCounterMode(display=False) as counter:
            rig.drive().sequence(batch, rig.drive().begin(4, torch.Generator()))
        counted += chance * counter.get_total_flops()
    theory = rig.theory()
    assert theory is not None
    assert theory.flops == pytest.approx(counted, rel=0.035)  # first steps send no message back


@pytest.mark.parametrize("name", ["telescoping_roulette", "telescoping_single"])
def test_kept_bytes_are_those_of_the_longest_chunk(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"hidden_size": 32, "dtype": "float64", "params": {"shortest": 6}}
    rig = rig_of("memory", name, **settings)
    monkeypatch.setattr(_telescoping, "draw", lambda chances, generator: 2)
    monkeypatch.setattr(type(rig.method), "chances", lambda self, levels: [0.0, 1.0, 0.0][:levels])
    values = measure(rig)
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.02)


@pytest.mark.parametrize(("shortest", "ratio"), [(0, 0.5), (4, 0.0), (4, 1.5)])
def test_impossible_chances_are_refused(shortest: int, ratio: float) -> None:
    for make in (TelescopingRoulette, TelescopingSingle):
        with pytest.raises(ValueError, match="must be"):
            make(shortest, ratio)
