"""What was appended is read back, whatever came in between; a trial's first record wins."""

import json
import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journals import record_of

from harness import store
from harness.store import JOURNAL, Store, StoreError
from harness.trial import Record


def append(folder: Path, *records: Record) -> None:
    with Store(folder) as kept:
        for record in records:
            kept.append(record)


def ids(folder: Path) -> list[str]:
    return [record.trial.id for record in store.read(folder).records]


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    records = [record_of(0, seconds=1.5), record_of(1, "oom")]
    append(tmp_path, *records)
    assert store.read(tmp_path) == store.Journal(tuple(records), 0)


def test_a_record_is_on_disk_as_soon_as_append_returns(tmp_path: Path) -> None:
    with Store(tmp_path) as kept:
        kept.append(record_of())
        assert len(store.read(tmp_path).records) == 1


def test_the_first_record_of_a_trial_wins(tmp_path: Path) -> None:
    first, second = record_of(0, seconds=1.0), record_of(0, seconds=2.0)
    with Store(tmp_path) as kept:
        assert [kept.append(first), kept.append(second)] == [True, False]
    append(tmp_path, second)
    assert store.read(tmp_path).records == (first,)


def test_what_is_done_survives_the_command(tmp_path: Path) -> None:
    append(tmp_path, record_of(0))
    with Store(tmp_path) as kept:
        done = [kept.is_done(record_of(number).trial.id) for number in (0, 1)]
    assert done == [True, False]


def test_a_torn_last_line_is_mended_skipped_and_counted(tmp_path: Path) -> None:
    append(tmp_path, record_of(0), record_of(1))
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    append(tmp_path, record_of(2), record_of(1))
    assert ids(tmp_path) == [record_of(number).trial.id for number in (0, 2, 1)]
    assert store.read(tmp_path).unreadable_lines == 1


@pytest.mark.parametrize(
    "line", [b"{", b"\xff\xfe", b"[1, 2]", b"3", b'{"schema": 1}', b'{"id": "a", "status": "done"}']
)
def test_a_line_that_is_no_record_is_skipped_and_counted(tmp_path: Path, line: bytes) -> None:
    append(tmp_path, record_of(0))
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(line + b"\n")
    append(tmp_path, record_of(1))
    got = store.read(tmp_path)
    assert (len(got.records), got.unreadable_lines) == (2, 1)


def test_blank_lines_are_no_damage(tmp_path: Path) -> None:
    append(tmp_path, record_of(0))
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b"\n\n")
    assert store.read(tmp_path).unreadable_lines == 0


def test_numbers_that_json_cannot_write_become_null_and_are_named(tmp_path: Path) -> None:
    append(tmp_path, record_of(0, loss=[1.0, math.nan], deep={"norm": math.inf}, fine=2.0))
    line = json.loads((tmp_path / JOURNAL).read_text())
    assert line["values"] == {"loss": [1.0, None], "deep": {"norm": None}, "fine": 2.0}
    assert line["nonfinite_fields"] == ["values.loss[1]", "values.deep.norm"]


def test_a_record_of_finite_numbers_names_none(tmp_path: Path) -> None:
    append(tmp_path, record_of(0, loss=[1.0]))
    assert "nonfinite_fields" not in json.loads((tmp_path / JOURNAL).read_text())


def test_another_schema_is_refused_with_its_line_and_the_way_out(tmp_path: Path) -> None:
    append(tmp_path, record_of(0))
    with (tmp_path / JOURNAL).open("a") as journal:
        journal.write('{"schema": 99}\n')
    sentence = r"records\.jsonl:2: schema 99; .* schema 1: .* --name"
    with pytest.raises(StoreError, match=sentence):
        store.read(tmp_path)
    with pytest.raises(StoreError, match=sentence), Store(tmp_path):
        pass


def test_a_withdrawn_record_no_longer_counts_and_the_next_one_does(tmp_path: Path) -> None:
    old, new = record_of(0, "oom"), record_of(0, seconds=2.0)
    with Store(tmp_path) as kept:
        kept.append(old)
        kept.withdraw([old.trial.id])
        assert not kept.is_done(old.trial.id)
        assert kept.append(new)
    assert store.read(tmp_path).records == (new,)
    assert len((tmp_path / JOURNAL).read_text().splitlines()) == 3


def test_a_rerun_that_was_cut_off_is_not_done(tmp_path: Path) -> None:
    with Store(tmp_path) as kept:
        kept.append(record_of(0))
        kept.withdraw([record_of(0).trial.id])
    with Store(tmp_path) as kept:
        assert not kept.is_done(record_of(0).trial.id)
        assert kept.is_withdrawn(record_of(0).trial.id)
    assert store.read(tmp_path).records == ()
    with Store(tmp_path) as kept:
        kept.append(record_of(0))
        assert not kept.is_withdrawn(record_of(0).trial.id)


def test_withdrawing_what_is_not_there_writes_nothing(tmp_path: Path) -> None:
    with Store(tmp_path) as kept:
        kept.withdraw(["0" * 12])
    assert (tmp_path / JOURNAL).read_bytes() == b""


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"holds no records\.jsonl"):
        store.read(tmp_path)


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"), Store(tmp_path / "file"):
        pass


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a full disk; pytest's own output counts too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 20], ids=["no room", "room for a part"])
def test_a_disk_that_takes_no_more_is_told_and_what_was_kept_stays(
    tmp_path: Path, room: int
) -> None:
    with Store(tmp_path) as kept:
        kept.append(record_of(0))
        limit = (tmp_path / JOURNAL).stat().st_size + room
        with no_file_beyond(limit), pytest.raises(StoreError, match="cannot be written"):
            kept.append(record_of(1))
        assert not kept.is_done(record_of(1).trial.id)
    assert ids(tmp_path) == [record_of(0).trial.id]
