from dataclasses import replace

import fake_records as fake
import numpy as np
import pytest

from harness.report import growth, metrics, scaling

BASE, NATIVE = fake.IMPLEMENTATIONS[:2]
LENGTHS = (16, 32, 64, 128, 256)


def timed(implementation, seconds, block, length):
    of = fake.trial("speed", implementation, length=length, block=block)
    return fake.record(of, values={"sample_seconds": [seconds]})


def curves(base, native, blocks=6, lengths=LENGTHS):
    """Return the records of two methods whose times are given as functions of T."""
    return metrics.frame(
        [
            timed(implementation, (1 + 0.3 * block) * time(length), block, length)
            for block in range(blocks)
            for length in lengths
            for implementation, time in ((BASE, base), (NATIVE, native))
        ]
    )


def of_native(table):
    (row,) = table[table["implementation"] == NATIVE.label].to_dict("records")
    return row


def test_time_in_proportion_to_length_has_exponent_one():
    frame = curves(lambda t: t / 100, lambda t: t / 100)
    found = of_native(growth.exponents(frame, "seconds_per_sequence"))
    assert found["estimate"] == pytest.approx(1.0)
    assert found["misfit"] < 1e-9


def test_two_lengths_have_no_exponent():
    frame = curves(lambda t: t, lambda t: t, lengths=(8, 16))
    assert growth.exponents(frame, "seconds_per_sequence").empty


def test_an_overhead_stands_beside_the_exponent_it_would_lower():
    frame = curves(lambda t: t, lambda t: 50.0 + t)
    found = of_native(growth.exponents(frame, "seconds_per_sequence"))
    assert found["estimate"] < 0.8
    assert found["misfit"] > growth.MISFIT
    assert found["offset_exponent"] == pytest.approx(1.0, abs=1e-3)
    # Blocks take 1 to 2.5 times as long as the first, so their overheads do too.
    assert found["overhead"] == pytest.approx(50.0 * 1.75, rel=0.01)
    shown = scaling.exponents(frame).shown().set_index("implementation")
    assert shown.loc[NATIVE.label, "off by at least"].endswith("!")
    assert not shown.loc[NATIVE.label, "a + b T^c off by at least"].endswith("!")


def test_a_crossing_is_between_the_lengths_that_surround_it():
    frame = curves(lambda t: t, lambda t: 0.5 * t + 50)
    found = of_native(growth.crossings(frame, "seconds_per_sequence"))
    assert found["length"] == pytest.approx(100, rel=0.03)
    assert (found["measured_from"], found["measured_to"]) == pytest.approx((64, 128))
    assert (found["outcome"], found["before"]) == ("crosses", BASE.label)
    assert scaling.crossings(frame).shown()["below it"].tolist() == [f"{BASE.label} is faster"]


def test_who_is_faster_all_along_is_said_where_nothing_crosses():
    frame = curves(lambda t: t, lambda t: 0.5 * t)
    (row,) = scaling.crossings(frame).shown().to_dict("records")
    assert row["cross at T"] == "not within the range"
    assert row["below it"] == f"{NATIVE.label} is faster at all lengths"


def test_five_blocks_have_no_crossing_to_show():
    frame = curves(lambda t: t, lambda t: 0.5 * t + 50, blocks=5)
    assert of_native(growth.crossings(frame, "seconds_per_sequence"))["outcome"] == "too few blocks"
    assert scaling.crossings(frame).data.empty


def test_a_copy_of_the_baseline_is_no_curve():
    frame = curves(lambda t: t, lambda t: 0.5 * t + 50)
    copy = frame[frame["baseline"]].assign(replica=1)
    copy = copy.assign(seconds_per_sequence=copy["seconds_per_sequence"] * np.arange(1, 31))
    both = metrics.pd.concat([frame, copy], ignore_index=True)
    for of in (growth.crossings, growth.exponents):
        alone, beside = (of(table, "seconds_per_sequence") for table in (frame, both))
        assert beside.equals(alone)


def test_a_profile_counts_what_did_not_run_against_the_method():
    records = [timed(BASE, 1.0, 0, length) for length in LENGTHS]
    records += [timed(NATIVE, 0.4, 0, length) for length in LENGTHS[:-1]]
    late = timed(NATIVE, 0.4, 0, LENGTHS[-1])
    records.append(replace(late, status="oom", reason="asked 2 GiB", values={}))
    frame = metrics.frame(records)
    table = scaling.profiles(frame, "seconds_per_sequence", "profile-time", "Who?")
    rows = table.data.set_index("implementation")
    assert rows.loc[NATIVE.label, "within_5"] == pytest.approx(4 / 5)
    assert rows.loc[NATIVE.label, "failed"] == pytest.approx(1 / 5)
    assert rows.loc[BASE.label, ["within_1", "within_2", "within_5"]].tolist() == pytest.approx(
        [1 / 5, 1 / 5, 1.0]
    )


def test_one_method_alone_has_no_profile():
    frame = metrics.frame([timed(BASE, 1.0, 0, length) for length in LENGTHS])
    assert scaling.profile_steps(frame, "seconds_per_sequence").empty
