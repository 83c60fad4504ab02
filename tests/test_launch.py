"""What is not done yet runs once and is kept as it comes, through interruptions and reruns."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rigs

from harness import launch, store
from harness.executors.implied import IMPLIED_BY
from harness.store import Store
from harness.sweep import Planned, match
from harness.trial import Limits, Record, Trial

LIMITED = Limits(memory_bytes=2**30)


def trial_of(number: int, **changes: Any) -> Trial:
    return rigs.trial_of("speed", block=number, **changes)


class Runner:
    """An executor that succeeds at once, and remembers what it ran."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.ran: list[str] = []
        self.closed = False
        self.fail_after = fail_after

    def __call__(self, trials: Sequence[Trial]) -> Iterator[Record]:
        try:
            for trial in trials:
                if len(self.ran) == self.fail_after:
                    raise KeyboardInterrupt
                self.ran.append(trial.id)
                yield Record(trial, "done", values={"by": id(self)})
        finally:
            self.closed = True


PLANNED = tuple(Planned(trial_of(number)) for number in range(4))
IDS = [each.trial.id for each in PLANNED]


def run(folder: Path, runner: Runner, planned: Sequence[Planned] = PLANNED) -> list[Record]:
    with Store(folder) as kept:
        launch.reopen(planned, kept)
        return list(launch.run(planned, kept, runner))


def test_every_trial_runs_and_its_record_is_kept_before_it_is_yielded(tmp_path: Path) -> None:
    with Store(tmp_path) as kept:
        for count, record in enumerate(launch.run(PLANNED, kept, Runner()), 1):
            assert store.read(tmp_path).records[-1] == record
            assert len(store.read(tmp_path).records) == count


def test_resuming_runs_what_is_left_and_nothing_twice(tmp_path: Path) -> None:
    first, second = Runner(fail_after=2), Runner()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, first)
    run(tmp_path, second)
    assert first.ran + second.ran == IDS
    assert [record.trial.id for record in store.read(tmp_path).records] == IDS


def test_nothing_is_started_where_all_is_done(tmp_path: Path) -> None:
    run(tmp_path, Runner())

    def never(trials: Sequence[Trial]) -> Iterator[Record]:
        raise AssertionError("an executor was started")

    with Store(tmp_path) as kept:
        assert list(launch.run(PLANNED, kept, never)) == []


def test_closing_the_run_closes_the_executor(tmp_path: Path) -> None:
    runner = Runner()
    with Store(tmp_path) as kept:
        running = launch.run(PLANNED, kept, runner)
        next(running)
        running.close()
    assert runner.closed


def test_a_record_that_comes_twice_is_kept_and_shown_once(tmp_path: Path) -> None:
    def stutter(trials: Sequence[Trial]) -> Iterator[Record]:
        for trial in trials:
            yield Record(trial, "done")
            yield Record(trial, "crashed")

    with Store(tmp_path) as kept:
        shown = list(launch.run(PLANNED, kept, stutter))
    assert [record.status for record in shown] == ["done"] * 4
    assert list(store.read(tmp_path).records) == shown


def test_an_excluded_trial_is_recorded_with_its_reason_and_not_run(tmp_path: Path) -> None:
    planned = (replace(PLANNED[0], skip_reason="diverges"), *PLANNED[1:])
    runner = Runner()
    first = run(tmp_path, runner, planned)[0]
    assert (first.status, first.reason) == ("skipped", "diverges")
    assert IDS[0] not in runner.ran


def test_a_trial_that_is_no_longer_excluded_runs_on_resuming(tmp_path: Path) -> None:
    run(tmp_path, Runner(), (replace(PLANNED[0], skip_reason="diverges"),))
    runner = Runner()
    run(tmp_path, runner, PLANNED[:1])
    assert runner.ran == IDS[:1]
    assert [record.status for record in store.read(tmp_path).records] == ["done"]


def test_a_trial_that_its_plugins_skipped_is_not_run_again(tmp_path: Path) -> None:
    with Store(tmp_path) as kept:
        kept.append(Record(PLANNED[0].trial, "skipped", "no fused kernel"))
    runner = Runner()
    run(tmp_path, runner)
    assert runner.ran == IDS[1:]


def test_a_rerun_makes_anew_what_its_conditions_choose(tmp_path: Path) -> None:
    with Store(tmp_path) as kept:
        for number, status in enumerate(("done", "oom", "done", "oom")):
            kept.append(Record(trial_of(number), status))
    runner = Runner()
    with Store(tmp_path) as kept:
        launch.reopen(PLANNED[:2], kept, match.parse("status=oom", match.OF_RECORD))
        list(launch.run(PLANNED[:2], kept, runner))
    assert runner.ran == [IDS[1]]  # the other oom is not part of this plan
    statuses = {record.trial.id: record.status for record in store.read(tmp_path).records}
    assert [statuses[identity] for identity in IDS] == ["done", "done", "done", "oom"]


def lacking(number: int, **changes: Any) -> Record:
    values = {"short_of": "limit", "steady": True}
    return Record(trial_of(number, limits=LIMITED, **changes), "oom", "no more", "less", values)


def limited(*numbers: int, **changes: Any) -> tuple[Planned, ...]:
    return tuple(Planned(trial_of(number, limits=LIMITED, **changes)) for number in numbers)


def test_resuming_runs_no_trial_that_an_earlier_one_says_would_run_out_of_memory(
    tmp_path: Path,
) -> None:
    planned = (*limited(0, 1), *limited(1, sequence_length=23))
    with Store(tmp_path) as kept:
        kept.append(lacking(0))
    runner = Runner()
    first, *_ = run(tmp_path, runner, planned)
    assert (first.trial, first.status) == (planned[1].trial, "oom")
    assert first.values == {IMPLIED_BY: planned[0].trial.id}
    assert runner.ran == [planned[2].trial.id]  # a shorter one
    assert len(store.read(tmp_path).records) == 3


def test_what_an_oom_implies_is_made_anew_with_it(tmp_path: Path) -> None:
    planned = limited(0, 1, 2)
    with Store(tmp_path) as kept:
        kept.append(lacking(0))
    run(tmp_path, Runner(), planned)
    for again, runs in [("status=oom block=2", [2]), ("block=0", [0, 1]), ("status=oom", [])]:
        runner = Runner()
        with Store(tmp_path) as kept:
            launch.reopen(planned, kept, match.parse(again, match.OF_RECORD))
            list(launch.run(planned, kept, runner))
        assert runner.ran == [planned[number].trial.id for number in runs], again
    assert {record.status for record in store.read(tmp_path).records} == {"done"}


def test_only_records_of_planned_trials_are_current_whatever_else_the_journal_keeps() -> None:
    reverted = Record(trial_of(0, sources={"gradients/full_bptt": "old"}), "done")
    edited = Record(trial_of(0, sources={"gradients/full_bptt": "new"}), "failed")
    longer = Record(trial_of(0, protocol={"max_samples": 7}), "done")
    records = [reverted, edited, longer]
    assert launch.current(records, {reverted.trial.id}) == (reverted,)
    assert launch.current(records, {longer.trial.id, IDS[3]}) == (longer,)


def test_all_records_are_current_where_no_plan_is_known() -> None:
    records = (Record(trial_of(0), "done"), Record(trial_of(0, seed=1), "done"))
    assert launch.current(records, None) == records
