"""Equal trials show what a machine cannot tell apart."""

from dataclasses import replace

import pytest

from harness.doctor import noise
from harness.doctor.finding import DISTURBS, FINE, UNKNOWN
from harness.trial import Record


def records(*ratios: float, threads: int = 1) -> list[Record]:
    """Return pairs of which the second takes so many times as long as the first."""
    made = []
    for trial in noise.trials(len(ratios)):
        seconds = 0.01 * (ratios[trial.block] if trial.replica else 1.0)
        values = {
            "sample_seconds": [seconds * 0.9, seconds, seconds * 2],
            "threads_in_force": threads,
        }
        made.append(Record(trial, "done", values=values))
    return made


def states(made: list[Record]) -> dict[str, str]:
    return {one.topic: one.state for one in noise.findings(made, noise.judged(made))}


def test_a_pair_holds_the_same_trial_twice_and_chance_decides_which_is_first() -> None:
    made = noise.trials(8)
    assert {(t.block, t.replica) for t in made} == {(b, r) for b in range(8) for r in (0, 1)}
    assert {made[place].replica for place in range(0, 16, 2)} == {0, 1}
    assert len({replace(t, block=0, replica=0).id for t in made}) == 1


def test_the_band_reaches_as_far_from_equal_as_the_interval() -> None:
    found = noise.judged(records(1.0, 1.001, 0.999, 1.002, 0.998, 1.0, 1.0, 0.97))
    assert found is not None
    assert found.band == pytest.approx(max(found.ratio.high, 1 / found.ratio.low) - 1)
    assert found.ratio.low < 1 < found.ratio.high


@pytest.mark.parametrize(
    ("ratios", "state"),
    [
        ((1.0, 1.001, 0.999, 1.002, 0.998, 1.0, 1.003, 0.999), FINE),
        ((1.0, 1.3, 0.8, 1.2, 0.9, 1.0, 1.4, 0.7), DISTURBS),
        ((1.0, 1.0), UNKNOWN),
        ((), UNKNOWN),
    ],
    ids=["quiet", "noisy", "too few", "none"],
)
def test_noise_beyond_the_margin_disturbs_and_too_few_pairs_tell_nothing(ratios, state) -> None:
    assert states(records(*ratios))[noise.TOPIC] == state


def test_a_trial_that_failed_is_told_and_counts_for_no_pair() -> None:
    made = [replace(one, status="failed", reason="broken\nlines") for one in records(1.0)]
    found = {one.topic: one for one in noise.findings(made, noise.judged(made))}
    assert (found[noise.TOPIC].state, found[noise.TOPIC].seen) == (UNKNOWN, "broken")


def test_threads_that_were_not_given_disturb() -> None:
    assert states(records(1.0))["threads"] == FINE
    assert states(records(1.0, threads=4))["threads"] == DISTURBS
