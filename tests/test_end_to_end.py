"""A sweep as its user runs it: a real Ray, trials that fail in every way, a kill, a resume."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]
BPTT = [sys.executable, "-c", "from harness.cli import main; main()"]

FAULTY = '''"""A gradient method that fails as it is told. It is for a test.

Source: none.
"""

import ctypes
import os
import time
from dataclasses import dataclass
from typing import Literal

import torch

from harness.contract import GradientMethod
from harness.model import detach


@dataclass
class Faulty(GradientMethod):
    """Full BPTT, if it gets that far."""

    fault: Literal["segfault", "exit", "hang", "hog", "raise", "wrong", "slow"] = "raise"

    def claim(self, length, cell):
        return "exact"

    def gradient(self, model, window, carry, hook=None):
        if self.fault == "segfault":
            ctypes.string_at(0)
        if self.fault == "exit":
            os._exit(3)
        if self.fault == "hang":
            ctypes.CDLL(None).pause()
        if self.fault == "hog":
            torch.ones(2**31)
        if self.fault == "raise":
            raise ValueError("told to fail")
        if self.fault == "slow":
            time.sleep(0.2)
        hidden, state = model.roll(window.inputs, carry, window.start, hook)
        weight = 0.5 if self.fault == "wrong" else 1.0
        loss = model.loss(hidden, window.targets, weight * window.weights)
        return model.gradient_of(loss), detach(state)
'''

SWEEP = """schema = 1
plugins = ["faulty.py"]
[sweep]
name = "faults"
blocks = 1
[axes]
sequence_length = [8, 16]
cell = "elman"
task = "adding"
hidden_size = 8
batch_size = 4
[[implementation]]
gradient = "full_bptt"
baseline = true
[[implementation]]
gradient = {{ use = "faulty", fault = {faults} }}
[measure]
passes = ["gradients"]
[limits]
trial_timeout = "4s"
memory = "1GiB"
"""


def write_sweep(folder: Path, *faults: str) -> Path:
    (folder / "faulty.py").write_text(FAULTY)
    file = folder / "faults.toml"
    file.write_text(SWEEP.format(faults=json.dumps(faults)))
    return file


def bptt(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BPTT, *words], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


def journal(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "results/faults/records.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """A sweep whose every trial but the baseline's fails, and what the command said."""
    folder = tmp_path_factory.mktemp("faults")
    file = write_sweep(folder, "segfault", "exit", "hang", "hog", "raise", "wrong")
    return folder, bptt(folder, "sweep", str(file))


def test_every_fault_is_a_record_with_its_status_and_a_reason(
    faults: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    found = {}
    for record in journal(faults[0]):
        params = record["trial"]["implementation"]["gradient"]["params"]
        found.setdefault(params.get("fault"), []).append(record)
    assert {fault: {r["status"] for r in records} for fault, records in found.items()} == {
        None: {"done"},
        "wrong": {"done"},
        "segfault": {"crashed"},
        "exit": {"crashed"},
        "hang": {"timeout"},
        "hog": {"oom"},
        "raise": {"failed"},
    }
    assert all(len(records) == 2 for records in found.values())  # two lengths, each once
    assert "SIGSEGV" in found["segfault"][0]["reason"]
    assert "3" in found["exit"][0]["reason"]
    assert "4" in found["hang"][0]["reason"]
    assert "told to fail" in found["raise"][0]["reason"]
    assert all(
        r["advice"] for fault, rs in found.items() if fault not in (None, "wrong") for r in rs
    )


def test_a_gradient_that_disagrees_with_the_oracle_decides_the_exit_code(
    faults: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, command = faults
    assert command.returncode == 5
    wrong = [
        record["values"]["agrees"]
        for record in journal(folder)
        if record["trial"]["implementation"]["gradient"]["params"].get("fault") == "wrong"
    ]
    assert wrong == [False, False]
    assert "2 gradients said to be exact and not" in command.stdout


def test_the_report_is_there_and_names_every_failure(
    faults: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, command = faults
    page = folder / "results/faults/report/index.html"
    assert str(page.relative_to(folder)) in command.stdout
    text = page.read_text()
    for status in ("crashed", "timeout", "oom", "failed"):
        assert status in text
    assert "Traceback" not in command.stdout + command.stderr


def test_ray_says_nothing_on_the_screen(
    faults: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    said = (faults[1].stdout + faults[1].stderr).lower()
    assert "raylet" not in said
    assert "dashboard" not in said


def test_a_sweep_killed_in_the_middle_loses_nothing_and_runs_nothing_twice(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, "slow")
    file.write_text(file.read_text().replace("blocks = 1", "blocks = 6"))
    records = tmp_path / "results/faults/records.jsonl"
    with subprocess.Popen(
        [*BPTT, "sweep", str(file)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as command:
        deadline = time.monotonic() + 120
        while not (records.exists() and records.read_bytes().count(b"\n") >= 4):
            assert time.monotonic() < deadline, "no record in two minutes"
            assert command.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        os.kill(command.pid, signal.SIGKILL)
    before = journal(tmp_path)
    assert 4 <= len(before) < 24
    resumed = bptt(tmp_path, "sweep", str(file), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    after = journal(tmp_path)
    assert after[: len(before)] == before
    assert set(Counter(record["id"] for record in after).values()) == {1}
    assert len(after) == 2 * 2 * 6  # implementations, lengths, blocks
    again = bptt(tmp_path, "sweep", str(file), "--resume")
    assert again.returncode == 0
    assert journal(tmp_path) == after
