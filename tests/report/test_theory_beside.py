"""Theory beside measurement: ratios of time, and the length from which less is kept."""

from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import figures, metrics, savings, theory
from harness.report.units import TIMES
from harness.trial import Choice, Implementation

BASE = fake.IMPLEMENTATIONS[0]
FLAT = Implementation(Choice("rtrl"), (), "flat")
LENGTHS = (16, 32, 64, 128)


def remembered(implementation, length, kept, by_theory=None):
    trial = fake.trial("memory", implementation, length=length)
    values = {**fake.values(trial), "kept_bytes": kept, "peak_bytes": kept + 1000}
    values["theory"] = {"kept_bytes": kept if by_theory is None else by_theory}
    return fake.record(trial, values=values)


def grown(flat, by_theory=None, lengths=LENGTHS):
    """Return a baseline that keeps 100 bytes a step, and a method that keeps `flat` bytes."""
    rows = [remembered(BASE, length, 100 * length) for length in lengths]
    rows += [remembered(FLAT, length, flat, by_theory) for length in lengths]
    return metrics.frame(rows), rows


def turn(frame, key="kept_bytes"):
    (found,) = savings.turning_points(frame, key).to_dict("records")
    return found["outcome"], found["length"]


def timed(implementation, seconds, flops, depth, block=0):
    trial = fake.trial("speed", implementation, block=block)
    cost = {"flops": flops, "kept_bytes": 1.0, "sequential_depth": depth}
    return fake.record(trial, values={"sample_seconds": [seconds], "theory": cost})


def test_lines_that_meet_between_two_lengths_meet_where_they_cross():
    frame, _ = grown(5000)
    outcome, length = turn(frame)
    assert outcome == "less from"
    assert length == pytest.approx(50 * savings.SAME_MEMORY)  # 100 T = 5,000, and 1 % more


@pytest.mark.parametrize(
    ("flat", "outcome"), [(100, "less at every length"), (1_000_000, "not within")]
)
def test_lines_that_do_not_meet_within_the_lengths_say_so(flat, outcome):
    assert turn(grown(flat)[0])[0] == outcome


def test_what_grows_as_fast_is_never_less():
    rows = [remembered(one, length, 100 * length) for one in (BASE, FLAT) for length in LENGTHS]
    assert turn(metrics.frame(rows))[0] == "never"


def test_theory_is_drawn_out_beyond_the_lengths_and_what_was_measured_is_not():
    frame, _ = grown(1_000_000)
    (row,) = savings.table(frame).shown().to_dict("records")
    assert row["from T, by theory"] == "not within 16 to 128 (10,100)"
    assert row["from T, as measured"] == "not within 16 to 128"


def test_the_sentence_gives_the_measured_length_with_theory_behind_it():
    assert "flat from T = 51 (theory 41)" in savings.told(grown(5000, by_theory=4000)[0])
    assert "not within 16 to 128 (theory 10,100)" in savings.told(grown(1_000_000)[0])
    assert "flat at every length of 16 to 128" in savings.told(grown(100)[0])


def test_what_grows_is_no_online_method():
    rows = [remembered(BASE, length, 100 * length) for length in LENGTHS]
    rows += [remembered(FLAT, length, 50 * length) for length in LENGTHS]
    assert savings.told(metrics.frame(rows)) == ""


@pytest.mark.parametrize(("flat", "rings"), [(5000, 1), (1_000_000, 0), (100, 0)])
def test_a_ring_marks_the_length_where_it_is_within_range(flat, rings):
    frame, records = grown(flat)
    drawn = {each.key: each for each in figures.draw(frame, records)}["kept-memory"]
    (ax,) = drawn.figure.axes
    marked = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert len(marked) == rings
    assert [line.get_xdata()[0] for line in marked] == pytest.approx([50.5] * rings)


def test_time_is_held_against_work_and_against_steps_in_sequence():
    records = [timed(BASE, 1.0, 100.0, 20), timed(FLAT, 6.0, 300.0, 10)]
    (row,) = theory.ratios(metrics.frame(records)).to_dict("records")
    assert (row["work_ratio"], row["depth_ratio"]) == pytest.approx((3.0, 0.5))
    assert (row["time_over_work"], row["time_over_depth"]) == pytest.approx((2.0, 12.0))
    said = f"2.00{TIMES} off the work, or 12.0{TIMES} off the steps"
    assert said in theory.table(metrics.frame(records)).note


def test_a_method_without_a_theory_has_no_row_and_breaks_nothing():
    bare = timed(FLAT, 6.0, 1.0, 1)
    bare = replace(bare, values={**bare.values, "theory": None})
    frame = metrics.frame([timed(BASE, 1.0, 100.0, 20), bare])
    assert len(theory.table(frame).data) == 0


def test_the_ratio_of_times_is_drawn_beside_both_theories():
    records = [timed(BASE, 1.0, 100.0, 20), timed(FLAT, 6.0, 300.0, 10)]
    drawn = {each.key: each for each in figures.draw(metrics.frame(records), records)}
    (ax,) = drawn["time-ratio"].figure.axes
    thin = [line.get_ydata()[0] for line in ax.lines if line.get_linewidth() == 0.6]
    assert thin == pytest.approx([3.0, 0.5])
