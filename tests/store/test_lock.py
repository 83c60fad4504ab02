"""One driver a results folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from journals import record_of

from harness.store import Store, StoreError
from harness.store.lock import LOCK

HOLD = (
    "import sys; from pathlib import Path; from harness.store import Store;"
    "kept = Store(Path(sys.argv[1])).__enter__(); print('held', flush=True); sys.stdin.read()"
)


def hold(folder: Path) -> subprocess.Popen[str]:
    """Return another driver, at work in the folder until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "held\n"
    return driver


def test_a_second_driver_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    with hold(tmp_path) as driver:
        with pytest.raises(StoreError, match=f"in use by process {driver.pid} on"), Store(tmp_path):
            pass
        driver.communicate()


def test_a_killed_driver_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    with hold(tmp_path) as driver:
        driver.kill()
    assert (tmp_path / LOCK).exists()
    with Store(tmp_path) as kept:
        assert kept.append(record_of())


def test_a_lock_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    with (
        pytest.raises(StoreError, match=f"process 1 on elsewhere; .* delete {tmp_path / LOCK}"),
        Store(tmp_path),
    ):
        pass


def test_no_lock_is_left_behind(tmp_path: Path) -> None:
    with Store(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def test_a_lock_file_that_says_nothing_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("torn")
    with Store(tmp_path):
        pass
