"""The ETA falls as trials end, and counts how many run at a time."""

from dataclasses import replace

import pytest
from demands import demand, record, trial

from harness.forecast.machine import Machine
from harness.forecast.model import Forecast
from harness.forecast.progress import Progress
from harness.trial import Limits


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def sweep(trials, slots=1, gpus=1):
    clock = Clock()
    model = Forecast({one.id: demand(one.sequence_length) for one in trials})
    return Progress(model, trials, Machine(slots, gpus), clock), clock, model


def run(progress, clock, one, seconds):
    progress.started(one)
    clock.now += seconds
    progress.ended(replace(record(one, seconds), started=clock.now - seconds, ended=clock.now))


def test_nothing_left_takes_no_time():
    progress, clock, model = sweep([trial()])
    assert progress.remaining().seconds == pytest.approx(model.uncorrected(trial()))
    run(progress, clock, trial(), 1.0)
    assert progress.remaining().seconds == 0.0


def test_the_eta_comes_near_the_truth_though_all_was_twice_as_slow_as_expected():
    trials = [trial("memory", block=block) for block in range(40)]
    progress, clock, model = sweep(trials)
    truth = 2 * model.uncorrected(trials[0])
    off = []
    for done, one in enumerate(trials):
        left = (len(trials) - done) * truth
        off.append(abs(progress.remaining().seconds / left - 1))
        run(progress, clock, one, truth)
    assert off[0] == pytest.approx(0.5)
    assert max(off[10:]) < 0.05


def test_trials_that_share_a_node_are_divided_by_its_cores_until_more_is_known():
    packed = [trial("memory", block=block) for block in range(8)]
    alone, *_ = (sweep(packed, slots=n)[0].remaining().seconds for n in (1,))
    shared = sweep(packed, slots=4)[0].remaining().seconds
    timed = [trial("speed", block=block) for block in range(8)]
    assert shared == pytest.approx(alone / 4)
    assert sweep(timed, 4)[0].remaining() == sweep(timed, 1)[0].remaining()


def test_an_accelerator_and_every_thread_are_taken_whole():
    packed = [trial("memory", block=block) for block in range(8)]
    timed = [trial("speed", block=block, device="cuda") for block in range(8)]
    for trials, gpus, at_a_time in (
        ([replace(one, threads=4) for one in packed], 2, 4),
        ([replace(one, device="cuda") for one in packed], 2, 2),
        (timed, 2, 2),
    ):
        one_by_one = sweep(trials)[0].remaining().seconds
        assert sweep(trials, 16, gpus)[0].remaining().seconds == pytest.approx(
            one_by_one / at_a_time
        )


def test_what_was_learned_of_narrow_trials_says_no_more_of_wide_ones_than_fit():
    narrow = [trial("memory", block=block) for block in range(4)]
    wide = [trial("memory", block=block, threads=4) for block in range(3)]
    progress, clock, model = sweep([*narrow, *wide], slots=4)
    expected = model.uncorrected(narrow[0])
    for one in narrow:
        progress.started(one)
    clock.now += expected
    for one in narrow:
        progress.ended(
            replace(record(one, expected), started=clock.now - expected, ended=clock.now)
        )
    assert progress.remaining().seconds == pytest.approx(3 * expected)


def test_how_many_run_at_a_time_is_learned():
    packed = [trial("memory", block=block) for block in range(9)]
    progress, clock, model = sweep(packed)
    expected = model.uncorrected(packed[0])
    for one in packed[:6]:
        progress.started(one)
    clock.now += expected
    for one in packed[:6]:
        progress.ended(
            replace(record(one, expected), started=clock.now - expected, ended=clock.now)
        )
    assert progress.remaining().seconds == pytest.approx(3 * expected / 6)


def test_what_runs_counts_for_what_it_has_left():
    progress, clock, _ = sweep([trial()])
    whole = progress.remaining().seconds
    progress.started(trial())
    clock.now += whole / 2
    assert progress.remaining().seconds == pytest.approx(whole / 2)
    clock.now += whole
    assert progress.remaining().seconds == 0.0


def test_no_trial_counts_for_more_than_its_time_limit():
    ended_early = [trial("memory", block=block, limits=Limits(0.01)) for block in range(4)]
    progress, *_ = sweep(ended_early)
    assert progress.remaining().seconds == pytest.approx(0.04)


def test_a_trial_that_never_began_is_taken_off():
    progress, _, _ = sweep([trial(), trial("memory")])
    progress.ended(record(trial("memory"), 0.0))
    progress.ended(record(trial(), 0.0))
    assert progress.remaining().seconds == 0.0
