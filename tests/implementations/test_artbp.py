"""ARTBP against full BPTT over every way to cut a sequence, each with its probability."""

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import batch_of, gradient_by, model_of, relative_error
from rigs import rig_of
from truncation_identities import (
    ROUNDING,
    gradient_of_way,
    mean_over_ways,
    probability,
    ways,
)

from harness.contract import State
from harness.measure.memory import measure
from harness.oracle import exact_gradient
from harness.trial import Choice
from implementations.gradients.artbp import ARTBP
from implementations.gradients.truncated_bptt import TruncatedBPTT


@pytest.mark.parametrize("cell", EVERY_CELL)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_mean_over_all_ways_to_cut_is_full_bptt(cell: str, length: int) -> None:
    model, batch = model_with(cell), batch_of(length)
    mean = mean_over_ways(ARTBP(mean_length=2.5, alpha=4.0), model, batch)
    assert relative_error(mean, exact_gradient(model, batch).params) < ROUNDING


def test_the_mean_over_all_ways_is_full_bptt_over_eight_steps() -> None:
    model, batch = model_of("elman"), batch_of(8, 1)
    mean = mean_over_ways(ARTBP(mean_length=3.0, alpha=6.0), model, batch)
    assert relative_error(mean, exact_gradient(model, batch).params) < ROUNDING


class WithoutFactor(ARTBP):
    """The control: messages that are not cut go on as they are."""

    def weigh(self, steps: int, message: State) -> State:
        return message


class WeighsOneStepLate(ARTBP):
    """The control: the factor of a cut one step later."""

    def weigh(self, steps: int, message: State) -> State:
        return super().weigh(steps + 1, message)


@pytest.mark.parametrize("wrong", [WithoutFactor, WeighsOneStepLate])
def test_wrong_factors_leave_a_bias(wrong: type[ARTBP]) -> None:
    model, batch = model_of("lstm"), batch_of(5)
    mean = mean_over_ways(wrong(mean_length=2.5, alpha=4.0), model, batch)
    assert relative_error(mean, exact_gradient(model, batch).params) > 1e-3


@pytest.mark.parametrize(("mean", "alpha"), [(50.0, 6.0), (3.0, 4.0)])
def test_the_law_one_step_late_makes_longer_segments(mean: float, alpha: float) -> None:
    """The control of the mean length: A/(α − 2) of a law that begins with c at l = 2."""
    method, survives, total = ARTBP(mean, alpha), 1.0, 1.0
    for steps in range(2, 20_000):
        survives *= 1 - method.hazard(steps)
        total += survives
    assert total == pytest.approx(mean + 1 / (alpha - 2), rel=1e-6)


def test_cuts_without_factors_are_truncation() -> None:
    model, batch = model_of("lstm"), batch_of(12)
    want = gradient_by(TruncatedBPTT(4, 4), model, batch)
    for method, least, most in ((WithoutFactor(4.0), 0, ROUNDING), (ARTBP(4.0), 1e-3, 1)):
        cut = gradient_of_way(method, model, batch, [4, 4, 4])
        assert least <= relative_error(cut, want) < most


@pytest.mark.parametrize("mean", [2.0, 6.0, 100.0])
def test_the_longest_segment_is_about_as_long_as_expected(mean: float) -> None:
    method = ARTBP(mean)
    exact = sum(probability(method, segments) * max(segments) for segments in ways(12))
    assert method.longest(12) == pytest.approx(exact, rel=0.12)  # segments are not independent
    assert 1 < method.longest(12) <= 12


def test_kept_bytes_are_those_of_the_longest_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rig_of("memory", "artbp", params={"mean_length": 6.0}, hidden_size=32, dtype="float64")
    segments = list(ARTBP(6.0).segments(24, rig.generator("method")))
    monkeypatch.setattr(ARTBP, "longest", lambda self, length: max(segments))
    values = measure(rig)
    assert 1 < len(segments) < 24
    assert values["kept_bytes"] == pytest.approx(values["theory"]["kept_bytes"], rel=0.02)


def test_the_next_sequence_of_a_stateful_task_starts_from_the_carried_state() -> None:
    model, batch = model_of("lstm"), batch_of(12)
    method = ARTBP(3.0)
    carry = method.begin(model, 2, torch.Generator())
    for first in (0, 6):
        _, carry = method.gradient(model, batch.window(first, first + 6), carry)
    want, _ = model.roll(batch.inputs, model.initial_state(2))
    torch.testing.assert_close(carry[0][0], want[-1])


@pytest.mark.parametrize(("mean", "alpha"), [(1.0, 6.0), (16.0, 2.0)])
def test_an_impossible_law_is_refused(mean: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="must be above"):
        ARTBP(mean, alpha)


def test_its_name_is_its_file() -> None:
    assert isinstance(rig_of("speed", "artbp", cell=Choice("elman")).method, ARTBP)
