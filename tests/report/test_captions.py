from dataclasses import replace

import fake_records as fake
import pandas as pd
import pytest

from harness.report import captions, metrics

GRID = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=1)
SERIES = tuple(one.label for one in fake.IMPLEMENTATIONS)


def trained(**changes):
    """Return training trials of a kind, with changes where an implementation is named."""
    records = fake.records(replace(GRID, measurements=("training",)))
    made = [
        replace(r, values={**r.values, **changes.get(r.trial.implementation.gradient.use, {})})
        for r in records
    ]
    return metrics.frame(made)


@pytest.mark.parametrize(
    ("blocks", "attained", "words"),
    [
        ([1, 1], [0.0, 0.0], "no intervals, for nothing was repeated"),
        ([3, 3], [0.75, 0.75], "75 % intervals, the most that 3 blocks allow (6 give 95 %)"),
        ([3, 6], [0.75, 0.969], "75 % intervals or better, the most that 3 blocks allow"),
        ([6, 9], [0.969, 0.961], "95 % intervals"),
    ],
)
def test_an_interval_says_how_sure_it_is(blocks, attained, words):
    assert captions.intervals(pd.DataFrame({"count": blocks, "confidence": attained})) == words


def test_more_updates_a_sequence_are_told_where_scores_are_compared():
    found = captions.updates(trained(truncated_bptt={"updates": 1600}), SERIES)
    assert found.startswith(
        ' truncated_bptt(16,16) makes 8 updates a sequence, the others 1 (update = "sequence")'
    )


def test_equal_updates_need_no_word():
    assert captions.updates(trained(), SERIES) == ""


def test_who_beats_the_trivial_predictor_is_named():
    poor = {"final_score": 9.0}
    frame = trained(full_bptt=poor, checkpointed=poor, truncated_bptt=poor)
    assert captions.learned(frame, SERIES) == (
        "On the held-out batches 2 of 10 training trials end better than the trivial predictor"
        " (native 2); none solves the task."
    )


def test_that_nobody_beats_it_is_said_too():
    names = ["full_bptt", "checkpointed", "truncated_bptt", "native"]
    frame = trained(**{name: {"final_score": 9.0} for name in names})
    assert "none of 10 training trials end better" in captions.learned(frame, SERIES)


def test_a_time_on_a_shared_machine_says_so_and_ranks_nobody():
    metric = metrics.BY_KEY["training_seconds"]
    assert (metric.label, metric.better) == ("training time, shared machine", "")
