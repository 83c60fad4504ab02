"""The weakest numbers come first, with what their trials were flagged for."""

from dataclasses import replace

import fake_records as fake
import pytest

from harness.report import metrics, noise

GRID = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=8)


def timed(of, seconds, flags=()):
    """Return the record of a speed trial that took so long."""
    values = {**fake.values(of), "sample_seconds": [seconds] * 5, "flags": list(flags)}
    return fake.record(of, values=values)


def sweep(copy_off=0.0, noisy="native"):
    """Return speed records: one series scatters, the baseline's copy is off by so much for good."""
    made = []
    for of in fake.trials(replace(GRID, measurements=("speed",))):
        label = of.implementation.label
        scatter = 0.2 * (-1) ** of.block if label == noisy else 0.001 * of.block
        flags = [
            "busy processes: pytest 99 % of a core",
            "2 of 20 samples above 1.5 times the median",
        ]
        made.append(timed(of, 0.01 * (1 + scatter), flags if label == noisy else ()))
        if of.implementation.baseline:
            made.append(timed(replace(of, replica=1), 0.01 * (1 + scatter) * (1 + copy_off)))
    return metrics.frame(made)


def test_the_widest_interval_is_the_weakest_number():
    table = noise.weakest(sweep())
    assert list(table.data["half_width"]) == sorted(table.data["half_width"], reverse=True)
    assert list(table.data["implementation"][:2]) == ["native", "native"]
    assert len(table.data) == 8  # 4 rivals at 2 lengths
    assert table.data["half_width"].iloc[0] > 10 * table.data["half_width"].iloc[2]


def test_flags_are_counted_by_kind_without_their_numbers():
    first, *_, last = noise.weakest(sweep()).shown().to_dict("records")
    assert first["flagged trials"] == "8 of 8"
    assert first["flags"] == "busy processes (8), samples above n times the median (8)"
    assert last["flagged trials"] == "0 of 8"


def test_of_equally_wide_intervals_the_more_flagged_is_weaker():
    records = [
        timed(of, 0.01, ["a trend"] if of.implementation.label == "checkpointed(32)" else ())
        for of in fake.trials(replace(GRID, measurements=("speed",)))
    ]
    found = noise.weakest(metrics.frame(records)).data
    assert list(found["implementation"][:2]) == ["checkpointed(32)"] * 2


@pytest.mark.parametrize(("off", "pairs_off"), [(0.0, 0), (0.03, 2)], ids=["equal", "apart"])
def test_the_band_of_a_node_is_what_its_copies_stay_apart(off, pairs_off):
    (row,) = noise.bands(sweep(copy_off=off)).data.to_dict("records")
    assert (row["node"], row["pairs"], row["off"]) == ("bench-01", 2, pairs_off)
    assert row["furthest"] == pytest.approx(off, abs=1e-9)
    assert (row["band"] > 0.02) == (row["margin"] > 0.02) == bool(off)


def test_without_copies_there_is_no_band():
    assert noise.bands(metrics.frame(fake.records(GRID))).data.empty
    assert noise.bands(metrics.frame([])).data.empty
    assert noise.weakest(metrics.frame([])).data.empty
