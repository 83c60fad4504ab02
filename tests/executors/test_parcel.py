"""The parcel holds what nodes need; a landing makes an agent of it, or says what is wrong."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from trials import trial

from harness.executors import landing
from harness.executors.parcel import packed
from harness.executors.settings import ExecutorError
from harness.registry.find import ROOT
from harness.trial import Choice

CLIP = '''"""Clips nothing.

Source: a test.
"""

from harness.contract import Clip


class Idle(Clip):
    pass
'''
OURS = landing.versions()


def names(parcel):
    return set(zipfile.ZipFile(io.BytesIO(parcel.archive)).namelist())


def plugin(folder, text=CLIP):
    folder.mkdir(exist_ok=True)
    (folder / "idle.py").write_text(text)
    return str(folder / "idle.py")


def test_every_file_of_the_checkouts_packages_is_in_it():
    code = subprocess.run(
        ["git", "ls-files", "harness", "implementations", "tasks"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "harness/presets/quick.toml" in code
    assert set(code) <= names(packed([]))
    assert not any("__pycache__" in name for name in names(packed([])))


def test_a_plugin_lies_in_a_folder_named_by_its_hash(tmp_path):
    path = plugin(tmp_path)
    launched = trial(plugins=(path,))
    parcel = packed([launched])
    place = f"plugins/{hashlib.sha256(CLIP.encode()).hexdigest()[:12]}/idle.py"
    assert parcel.addressed(launched) == replace(launched, plugins=(place,))
    assert zipfile.ZipFile(io.BytesIO(parcel.archive)).read(place).decode() == CLIP


def test_the_same_sources_make_the_same_parcel(tmp_path):
    launched = [trial(plugins=(plugin(tmp_path),))]
    assert packed(launched).archive == packed(launched).archive
    plugin(tmp_path, CLIP + "# edited\n")
    assert packed(launched).archive != packed([]).archive


def test_a_plugin_that_was_edited_after_the_plan_stops_the_launch(tmp_path):
    path = plugin(tmp_path)
    sources = {"clips/idle": hashlib.sha256(CLIP.encode()).hexdigest()}
    launched = trial(plugins=(path,), sources=sources)
    packed([launched])
    plugin(tmp_path, CLIP + "# edited\n")
    with pytest.raises(ExecutorError, match=r"idle\.py was changed after the sweep was planned"):
        packed([launched])


def test_only_the_packs_that_the_tasks_read_travel(tmp_path, monkeypatch):
    monkeypatch.setenv("BPTT_DATA", str(tmp_path))
    for name in ("speeches-0.1.2.tar", "stocks-1.12.2.tar"):
        (tmp_path / name).write_bytes(b"not looked at before a task reads it")
    got = names(packed([trial(task=Choice("speeches"))]))
    assert {name for name in got if name.startswith("data/")} == {"data/speeches-0.1.2.tar"}
    assert not any(name.startswith("data/") for name in names(packed([trial()])))


def test_a_landing_refuses_a_parcel_that_was_damaged():
    archive = packed([]).archive
    sha256 = hashlib.sha256(archive).hexdigest()
    damaged = archive[:-1] + bytes([archive[-1] ^ 1])
    hello = landing.Landing(damaged, sha256, OURS, "faults").hello()
    assert (
        hello["fault"] == "it cannot use what the sweep brings: the parcel was damaged on its way"
    )
    assert not hello["passing"]


def test_a_landing_on_a_node_with_another_version_is_a_fault():
    hello = landing.Landing(b"", "", {**OURS, "torch": "0.0.1"}, "faults").hello()
    assert "where the sweep was launched with torch 0.0.1" in hello["fault"]


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        ({}, ""),
        ({"torch": ""}, "node far has torch (none) where the sweep was launched with torch 2.9;"),
        (
            {"Python": "3.12.1", "ray": "2.50"},
            "node far has Python 3.12.1, ray 2.50 where the sweep was launched with Python 3.11.7, "
            "ray 2.60;",
        ),
    ],
    ids=["alike", "none", "two"],
)
def test_versions_that_differ_are_one_sentence(theirs, told):
    ours = {"Python": "3.11.7", "torch": "2.9", "ray": "2.60"}
    said = landing.unlike("far", {**ours, **theirs}, ours)
    assert said.startswith(told)
    assert bool(said) == bool(told)


def test_a_build_for_other_hardware_is_no_other_version(tmp_path, monkeypatch):
    (tmp_path / "torch-2.9.0.dist-info").mkdir()
    (tmp_path / "torch-2.9.0.dist-info" / "METADATA").write_text(
        "Name: torch\nVersion: 2.9.0+cu1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert landing.versions()["torch"] == "2.9.0"


LAND = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import landing
archive = Path(sys.argv[2]).read_bytes()
digest = hashlib.sha256(archive).hexdigest()
landed = landing.Landing(archive, digest, landing.versions(), "anything")
print(landed.hello()["fault"], flush=True)
sys.stdin.read()
"""
AGENT = """
import os
class Agent:
    def __init__(self, module, folder, *_):
        self.folder = folder
    def hello(self):
        return {"fault": " ".join([self.folder, os.environ["BPTT_DATA"]])}
"""


def test_a_killed_landing_leaves_nothing_and_needs_nothing_of_the_harness(tmp_path):
    with zipfile.ZipFile(tmp_path / "parcel", "w") as archive:
        archive.writestr("harness/executors/agent.py", AGENT)
    home = str(Path(landing.__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", LAND, home, str(tmp_path / "parcel")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": ""},
    )
    folder, cache = map(Path, process.stdout.readline().split())
    assert (folder / "harness").is_dir()
    assert cache == folder / "data"
    process.kill()
    process.communicate()
    gone = time.monotonic() + 10
    while folder.exists() and time.monotonic() < gone:
        time.sleep(0.05)
    assert not folder.exists()


def test_a_sweeper_ends_what_is_in_its_folder_or_its_group_and_nothing_else(tmp_path):
    folders = [tmp_path / "own", tmp_path / "own/below", tmp_path / "another"]
    folders[1].mkdir(parents=True)
    marked = [
        subprocess.Popen(["sleep", "60"], env={landing.SERVER_MARK: folder}) for folder in folders
    ]
    grouped = subprocess.Popen(["sleep", "60"], process_group=0)
    try:
        sweeper = landing.sweeper(str(folders[0]))
        os.write(sweeper, f"{grouped.pid}\n".encode())
        os.close(sweeper)
        assert [each.wait(10) for each in (*marked[:2], grouped)] == [-signal.SIGKILL] * 3
        assert marked[2].poll() is None
    finally:
        marked[2].kill()
        marked[2].wait()
