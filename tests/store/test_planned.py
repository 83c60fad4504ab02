"""A results folder knows which trials it is about, whatever else its journal keeps."""

from pathlib import Path

import pytest

from harness.store import PLANNED, StoreError, read_planned, write_planned


def test_the_last_plan_is_the_one_that_is_read(tmp_path: Path) -> None:
    write_planned(tmp_path, ["b", "a"])
    write_planned(tmp_path, ["c"])
    assert read_planned(tmp_path) == {"c"}
    assert [path.name for path in tmp_path.iterdir()] == [PLANNED]


def test_a_folder_without_a_plan_is_told_from_one_that_plans_nothing(tmp_path: Path) -> None:
    assert read_planned(tmp_path) is None
    write_planned(tmp_path, [])
    assert read_planned(tmp_path) == frozenset()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '["a"'])
def test_a_torn_plan_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / PLANNED).write_text(text)
    with pytest.raises(StoreError, match="is no list of trial ids; resume the sweep"):
        read_planned(tmp_path)
