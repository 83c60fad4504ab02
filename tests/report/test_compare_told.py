from dataclasses import replace

import fake_records as fake
import pytest
from compared_runs import NATIVE, run

from harness.report.compare import Run, Threshold, compare, judged
from harness.report.compare.layout import as_markdown, as_text

SPEED = (Threshold("speed", 0.03),)


def with_memory(of, kept=1.0):
    """Return the run with memory records beside its times; native's peak is `kept` times."""
    records = []
    for implementation in fake.IMPLEMENTATIONS[:3]:
        record = fake.record(fake.trial("memory", implementation))
        share = kept if implementation == NATIVE else 1.0
        peak = int(record.values["peak_bytes"] * share)
        records.append(replace(record, values={**record.values, "peak_bytes": peak}))
    return Run(of.name, (*of.records, *records))


@pytest.mark.parametrize("written", [as_text, as_markdown], ids=["text", "markdown"])
def test_the_regression_comes_first_with_its_interval(written):
    compared = compare(run(0), run(100, times={NATIVE.label: 1.1}))
    text = written(compared, judged(compared, SPEED))
    assert text.index("Regressions") < text.index("Time, NEW / BASE")
    assert "speed: native · lstm · adding · cpu · T=64: 1.1" in text
    assert "wholly beyond 3.0 % more" in text
    assert "Times are judged over the floor" in text


def test_memory_that_grew_is_shown_and_judged_without_an_interval():
    base, new = with_memory(run(0)), with_memory(run(100), kept=1.2)
    compared = compare(base, new)
    text = as_text(compared, judged(compared, (Threshold("memory", 0.05),)))
    assert "memory: 1 more, 2 same" in text
    assert "memory: native · lstm · adding · cpu · T=64: 1.20×" in text  # noqa: RUF001
    assert judged(compared, (Threshold("memory", 0.25),)) == ()


def test_it_says_how_many_times_are_judged_by_what():
    slow = run(100)
    records = tuple(
        replace(r, values={**r.values, "floor_seconds": None})
        if r.trial.implementation == NATIVE
        else r
        for r in slow.records
    )
    text = as_text(compare(run(0), Run("new", records)), ())
    assert "4 of 6 times are judged over the floor" in text
    assert "2 of 6 times are judged over the baseline's of the same block" in text


def test_unlike_machines_are_named_in_words():
    text = as_text(compare(run(0), run(100, node="bench-02")), ())
    assert "node: bench-01 in BASE, bench-02 in NEW" in text
    assert "The machines are not the same" in text
    assert "not paired, as the machines differ" in text


def test_markdown_escapes_what_a_users_words_could_do():
    new = run(100)
    records = tuple(
        replace(r, status="failed", reason="<script>x</script> | *", values={})
        if r.trial.implementation == NATIVE
        else r
        for r in new.records
    )
    text = as_markdown(compare(run(0), Run("new", records)), ())
    assert "<script>" not in text
    assert "\\<script\\>" in text


def test_every_row_of_a_markdown_table_has_its_columns():
    text = as_markdown(compare(run(0), run(100, times={NATIVE.label: 1.1})), ())
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| native")}
    head = {line.count("|") for line in text.splitlines() if line.startswith("| implementation")}
    assert widths == head


def test_runs_that_share_nothing_say_so():
    nothing = Run("empty", ())
    assert "nothing that both have measured" in as_text(compare(run(0), nothing), ())
