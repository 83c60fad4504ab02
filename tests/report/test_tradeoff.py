"""The front of time, memory and gradient: who stands on it, and who beats the others."""

import fake_records as fake
import pytest

from harness.report import figures, metrics, tradeoff
from harness.report.figures import canvas, labels
from harness.report.units import TIMES
from harness.trial import Choice, Implementation

BASE = fake.IMPLEMENTATIONS[0]


def paid(name, seconds, peak, error, baseline=False, clips=()):
    """Return the three records of one method at one point: its price."""
    of = Implementation(Choice("full_bptt"), clips, name, baseline=baseline)
    made = [
        fake.record(fake.trial("speed", of, block=block), values={"sample_seconds": [second]})
        for block, second in enumerate(seconds)
    ]
    memory, gradient = fake.trial("memory", of), fake.trial("gradients", of)
    kept = {"peak_bytes": peak, "kept_bytes": peak // 2, "static_bytes": 1, "batch_bytes": 1}
    made.append(fake.record(memory, values=kept))
    worth = {"relative_error": error, "claim": "biased" if error else "exact", "cosine": 1.0}
    return [*made, fake.record(gradient, values={**worth, "verdict": "stable"})]


FULL = paid("full", (1.0, 1.0), 1000, 0.0, baseline=True)


def beaten(*methods):
    frame = metrics.frame([record for method in (FULL, *methods) for record in method])
    found = tradeoff.points(frame)
    return dict(zip(found["implementation"], found["beaten_by"], strict=True))


def test_what_is_faster_smaller_and_as_right_beats():
    assert beaten(paid("better", (0.5, 0.6), 900, 0.0)) == {"full": "better", "better": ""}


@pytest.mark.parametrize(
    ("seconds", "peak", "error"),
    [((0.5, 0.6), 1100, 0.0), ((0.5, 0.6), 900, 0.1), ((2.0, 2.1), 900, 0.0)],
    ids=["more memory", "a worse gradient", "slower"],
)
def test_what_is_worse_in_one_thing_beats_nobody(seconds, peak, error):
    assert set(beaten(paid("other", seconds, peak, error)).values()) == {""}


def test_times_that_overlap_beat_nobody():
    assert beaten(paid("unsure", (0.5, 1.2), 900, 0.0))["full"] == ""


def test_the_fastest_that_beats_is_named():
    methods = [paid("fast", (0.5, 0.5), 900, 0.0), paid("faster", (0.4, 0.4), 950, 0.0)]
    assert beaten(*methods)["full"] == "faster"


def test_rounding_is_no_worse_a_gradient():
    assert beaten(paid("rounds", (0.5, 0.5), 900, 1e-14))["full"] == "rounds"


def test_clips_and_what_was_not_measured_have_no_place():
    clipped = paid("clipped", (0.1, 0.1), 10, 0.0, clips=(Choice("norm"),))
    untold = paid("untold", (0.1, 0.1), 10, 0.0)[:-1]
    assert beaten(clipped, untold) == {"full": ""}


def test_without_a_gradients_pass_there_is_no_figure():
    grid = fake.Grid(lengths=(32,), cells=("lstm",), tasks=("adding",), blocks=1)
    records = [r for r in fake.records(grid) if r.trial.measurement != "gradients"]
    drawn = figures.draw(metrics.frame(records), records)
    assert [drawing for drawing in drawn if drawing.key == "tradeoff"] == []


def test_the_front_is_full_and_named_and_the_rest_is_faded():
    methods = (FULL, paid("better", (0.5, 0.6), 900, 0.0), paid("rough", (0.4, 0.4), 950, 0.3))
    records = [record for method in methods for record in method]
    drawn = {each.key: each for each in figures.draw(metrics.frame(records), records)}["tradeoff"]
    (ax,) = drawn.figure.axes
    assert sorted(text.get_text() for text in ax.texts) == ["better", "rough · 0.300"]
    points = [line for line in ax.lines if line.get_marker() not in ("None", "")]
    assert sorted(line.get_alpha() for line in points) == [0.28, 1.0, 1.0]
    assert f"better (0.548{TIMES} time, 0.900{TIMES} memory, exact)" in drawn.finding
    assert "the other 1 is beaten" in drawn.finding


def test_names_of_points_at_one_place_stand_in_different_places():
    _, (ax,) = canvas.panels([""], 0)
    ends = [labels.End(0.5, 0.5, name, "black") for name in ("one", "other", "third")]
    labels.near(ax, ends, [])
    assert len({text.xyann for text in ax.texts}) == 3
