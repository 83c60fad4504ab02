"""A trial takes what its protocol asks for, and no more than the protocol allows."""

from dataclasses import asdict

import pytest
from demands import trial

from harness.forecast import passes
from harness.trial import SpeedProtocol, TrainingProtocol


def speed(sequence, **protocol):
    return passes.seconds(trial(protocol=asdict(SpeedProtocol(**protocol))), sequence, 99.0, 1e9)


def test_a_fast_sequence_takes_its_warm_up_and_its_least_time():
    assert 1.5 < speed(1e-4) < 2.0  # 1 s of warm-up, 0.5 s of samples, a few sequences


def test_a_sequence_of_over_two_seconds_is_sampled_three_times():
    warm, samples, phases = 3, 3, 1.1  # sequences; the phases stop after a second
    floors = passes.FLOOR_SHARE * (2 + SpeedProtocol().floor_samples)
    want = 10.0 * (1 + warm + samples + phases + floors)
    assert speed(10.0, max_seconds=60.0) == pytest.approx(want, abs=0.2)


def test_no_protocol_is_exceeded_by_more_than_a_sample():
    quick = {"warmup_seconds": 0.0, "warmup_sequences": 1, "min_seconds": 0.0, "max_samples": 5}
    assert speed(0.05, **quick, min_samples=5) == pytest.approx(0.05 * 14, abs=0.15)


@pytest.mark.parametrize("measurement", ["speed", "memory", "gradients", "training"])
def test_every_measurement_takes_longer_where_sequences_do(measurement):
    of = trial(measurement)
    assert passes.seconds(of, 1.0, 1.0, 1e9) > 3 * passes.seconds(of, 0.1, 0.1, 1e9) > 0


def test_training_is_so_many_sequences_and_evaluations_whose_speed_is_no_methods():
    few = trial("training", protocol=asdict(TrainingProtocol(sequences=100)))
    many = trial("training", protocol=asdict(TrainingProtocol(sequences=300)))
    got = [passes.seconds(of, 0.01, 0.05, 1e9) for of in (few, many)]
    assert got[1] - got[0] == pytest.approx(2.0)
    assert got[0] > 1.0 + 11 * 2 * 0.05 / 3
    assert passes.seconds(few, 0.01, 0.10, 1e9) - 1.0 == pytest.approx(2 * (got[0] - 1.0))


def test_the_lags_of_a_gradient_are_taken_apart_only_where_that_is_not_too_long():
    took = [
        passes.seconds(trial("gradients", length=length), 1.0, 1.0, 1e9)
        for length in (100, 200, 201)
    ]
    assert took[1] - took[0] == pytest.approx(passes.LAG_SHARE * 25)
    assert took[2] == 2 * passes.GRADIENT_SEQUENCES


def test_a_spectrum_takes_a_sequence_for_every_direction_that_there_is():
    none, few, all_ = (
        passes.seconds(trial("gradients", protocol={"draws": 32, **more}), 0.01, 0.1, 1e9)
        for more in ({}, {"lyapunov_exponents": 5}, {"lyapunov_exponents": 9999})
    )
    assert few - none == pytest.approx(5 * 0.1)
    assert all_ - none == pytest.approx(64 * 0.1)  # H = 32, and two parts


@pytest.mark.parametrize(
    ("budget", "sequences"),
    [
        ({}, 1000),
        ({"budget_updates": 30}, 30),
        ({"budget_seconds": 2.5}, 250),
        ({"budget_flops": 7e10, "budget_seconds": 2.5}, 70),
        ({"budget_seconds": 1e-9}, 1),
    ],
)
def test_a_training_ends_with_the_first_of_its_budgets(budget, sequences):
    none, some = (
        trial("training", protocol=asdict(TrainingProtocol(sequences=n, **more)))
        for n, more in ((1, {}), (1000, budget))
    )
    took = [passes.seconds(of, 0.01, 0.05, 1e9) for of in (none, some)]
    assert took[1] - took[0] == pytest.approx(0.01 * (sequences - 1))


@pytest.mark.parametrize(("budget", "updates", "sequences"), [(640, 64, 10), (641, 64, 11)])
def test_a_budget_of_updates_ends_with_the_sequence_that_makes_the_last(budget, updates, sequences):
    none, some = (
        trial("training", protocol=asdict(TrainingProtocol(sequences=n, budget_updates=budget)))
        for n in (1, 1000)
    )
    took = [passes.seconds(of, 0.01, 0.05, 1e9, updates) for of in (none, some)]
    assert took[1] - took[0] == pytest.approx(0.01 * (sequences - 1))
