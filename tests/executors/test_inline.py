import os

from trials import trial

from harness.executors import inline
from harness.executors.settings import Settings


def test_trials_run_in_order_in_this_process():
    began = []
    trials = [trial(hidden_size=size) for size in (1, 2)]
    records = list(
        inline.run(trials, Settings(target="faults:trivial"), lambda each, _: began.append(each))
    )
    assert began == trials
    assert [record.trial for record in records] == trials
    assert {record.values["pid"] for record in records} == {os.getpid()}
    assert all(record.started <= record.ended and record.node for record in records)


def test_an_oom_does_not_say_what_was_full_as_earlier_trials_had_part_of_it():
    (found,) = inline.run([trial()], Settings(target="faults:run_out"))
    assert (found.status, found.values) == ("oom", {"steady": True})


def test_nothing_runs_before_it_is_asked_for():
    began = []
    generator = inline.run(
        [trial(), trial(hidden_size=2)],
        Settings(target="faults:trivial"),
        lambda each, _: began.append(each),
    )
    next(generator)
    assert len(began) == 1
