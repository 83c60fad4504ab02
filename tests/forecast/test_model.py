"""A forecast follows theory at the rates of the probes, and what trials show of it."""

import pytest
from demands import demand, record, trial

from harness.forecast import passes
from harness.forecast.model import Forecast

LENGTHS = (64, 256, 4096)


def sequence(length):
    """Return what a sequence takes on a machine three times slower than the reference."""
    return 300e-6 * 2 * length


def speed_probe(length):
    values = {"sample_seconds": [sequence(length), None, sequence(length) * 1.01]}
    of = trial(length=length, block=7)
    return record(of, 0.2 + passes.seconds(of, sequence(length), 99.0, 1e9), **values)


def forecast(probes=(), kinds=("speed", "memory", "training", "gradients")):
    trials = [trial(kind, length=length) for kind in kinds for length in LENGTHS]
    asked = [*trials, *(one.trial for one in probes)]
    return Forecast({one.id: demand(one.sequence_length) for one in asked}, probes)


def test_probes_set_the_rates_for_every_length_and_measurement():
    made = forecast([speed_probe(64), speed_probe(256)])
    got = made.expected(trial("training", length=4096)).seconds
    scored = 11 * 2 * (128 / 8) ** passes.WIDER / 3  # evaluations, batches, forward only
    assert got == pytest.approx((200 + scored) * sequence(4096), rel=0.02)
    assert made.spread < 0.5


def test_overhead_is_told_from_work_by_two_lengths():
    probes = [speed_probe(64), speed_probe(256)]
    for length in (64, 256):
        of = trial("memory", length=length, block=7)
        probes.append(record(of, 1.5 + 2 * passes.seconds(of, sequence(length), 99.0, 1e9)))
    got = forecast(probes).expected(trial("memory", length=4096)).seconds
    want = 1.5 + 2 * passes.seconds(trial("memory", length=4096), sequence(4096), 99.0, 1e9)
    assert got == pytest.approx(want, rel=0.15)


def test_without_probes_the_doubt_is_a_factor_of_three():
    made = forecast()
    assert made.spread == pytest.approx(2.0)
    assert made.probes == 0


def test_records_correct_what_is_left_and_a_failure_says_nothing():
    made, left = forecast([speed_probe(64), speed_probe(256)]), trial("memory", length=256)
    before = made.expected(left).seconds
    failed = record(trial("memory", length=64), 1e-3)
    made.learn(type(failed)(failed.trial, "failed", started=1.0, ended=900.0))
    assert made.expected(left).seconds == before
    seen = trial("memory", length=64)
    made.learn(record(seen, 4 * made.uncorrected(seen)))
    assert 1.5 * before < made.expected(left).seconds < 4 * before


def test_a_peak_is_static_batch_and_kept_until_one_was_seen():
    made, of = forecast(), trial("memory", length=256)
    plain = demand(256)
    want = plain.static_bytes + plain.batch_bytes + plain.kept_bytes
    assert made.expected(of).peak_bytes == want
    made.learn(record(trial("memory", length=64), 1.0, peak_bytes=2 * want / 4))
    assert want < made.expected(of).peak_bytes < 2 * want
    timed = made.expected(trial("speed", length=256)).peak_bytes
    assert timed == made.expected(of).peak_bytes  # it runs the sequences that memory traces


def test_the_exact_gradient_needs_more_than_the_method():
    made = forecast()
    peaks = [made.expected(trial(kind, length=256)).peak_bytes for kind in ("memory", "gradients")]
    assert peaks[1] > 2 * peaks[0]


def test_a_method_without_a_formula_has_no_peak():
    of = trial("memory")
    made = Forecast({of.id: demand(kept_bytes=None)})
    assert made.expected(of).peak_bytes is None
    made.learn(record(of, 1.0, peak_bytes=100))
    assert made.knows(of)
    assert not made.knows(trial("memory", name="unheard of"))
