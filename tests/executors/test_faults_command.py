"""Kills of the command itself, and of nodes under it: what was said to be kept is kept, once."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from command import TRIALS
from injector import MARK, Injector, kind_of, soon
from network import Network, is_possible

pytestmark = pytest.mark.ray

HERE = Path(__file__).parent
COMMAND = [sys.executable, str(HERE / "command.py")]
SEED = 20240609
START_SECONDS = 90.0  # of Ray, on a busy machine
CALM = 8  # records from one fault to the next, by when all that was lost has begun again
NOTICE_SECONDS = 45.0  # three health checks of at most 2 s, a second apart, on a busy machine


class Life:
    """One run of the command, and what it says."""

    def __init__(self, process):
        self.process = process
        self.began, self.kept = Counter(), []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            word, identity = line.split()
            if word == "kept":
                self.kept.append(identity)
            else:
                self.began[identity] += 1

    def end(self):
        """Return the exit code, once all that it said is heard."""
        code = self.process.wait(START_SECONDS)
        self._reader.join()
        self.process.stdout.close()
        return code


@pytest.fixture
def folder():
    """Return a folder whose name is short, as that of a socket in it must be."""
    with tempfile.TemporaryDirectory(prefix="bf-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def injector(folder, monkeypatch):
    monkeypatch.setenv(MARK, str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parent.parent)]))
    return Injector(random.Random(SEED), str(folder), folder)


def test_a_command_killed_again_and_again_loses_and_repeats_nothing(injector, folder):
    outlive_kills(injector, folder)


@pytest.mark.skipif(not is_possible(), reason="making networks needs root and iproute2")
def test_a_sweep_outlives_a_raylet_a_node_and_the_cable_of_another(injector, folder):
    outlive_cuts(injector, folder)


def outlive_kills(injector, folder):
    """Kill the command, and resume it; return how long each time something of it was left."""
    arguments = made(folder)
    kept, left = [], []
    for victims in (["command"], ["command", "driver"]):
        life = Life(subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True))
        soon(lambda: len(life.kept) > 3, START_SECONDS)  # noqa: B023
        time.sleep(injector.generator.random() * 0.3)  # a random moment of what runs
        moment = time.monotonic()
        for kind in victims:
            assert injector.kill(kind)
        assert life.end() == -signal.SIGKILL
        kept += life.kept
        held = [record["id"] for record in journal(folder)]
        assert set(kept) <= set(held)
        assert len(held) == len(set(held))
        assert len(set(held) - set(kept)) <= len(victims)  # kept, and killed before it said so
        kept = held
        assert injector.persist(injector.marked) == []
        left.append((" and ".join(victims), time.monotonic() - moment))
        assert list((folder / "temporary").iterdir()) == []
    (folder / "kept/hurry").touch()
    life = Life(subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True))
    assert life.end() == 0
    records = journal(folder)
    assert [record["id"] for record in records[: len(kept)]] == kept
    assert len(records) == len({record["id"] for record in records}) == TRIALS
    assert {record["status"] for record in records} == {"done"}
    return left


def outlive_cuts(injector, folder):
    """Lose a raylet, a node and a cable; return how long what each of them ran was missing."""
    noticed = []
    with Network(4, folder / "ray") as network:
        arguments = [*made(folder), "10.77.0.1:6379"]
        soon(lambda: raylets(network) == 4, START_SECONDS)
        life = Life(network.run(network.names[0], [*COMMAND, *arguments], stdout=subprocess.PIPE))
        soon(lambda: len(life.kept) > 10, START_SECONDS)
        for number, fault in enumerate(("raylet", "node", "cable"), 1):
            soon(lambda: served(network, number), START_SECONDS)  # noqa: B023
            again = sum(life.began.values()) - len(life.began)
            moment = time.monotonic()
            if fault == "cable":
                network.cut(number)
            else:
                for pid in network.pids(network.names[number]):
                    if fault == "node" or kind_of(pid) == "raylet":
                        os.kill(pid, signal.SIGKILL)
            injector.injected[fault] += 1
            soon(lambda: sum(life.began.values()) - len(life.began) > again, NOTICE_SECONDS)  # noqa: B023
            noticed.append((f"{fault}, far", time.monotonic() - moment))
            calm = len(life.kept) + CALM
            soon(lambda: len(life.kept) > calm, START_SECONDS)  # noqa: B023
        (folder / "kept/hurry").touch()
        assert life.end() == 0
        assert time.monotonic() - moment < NOTICE_SECONDS  # of the cable, the last and slowest
    records = journal(folder)
    assert len(records) == len({record["id"] for record in records}) == TRIALS
    assert {record["status"] for record in records} == {"done"}
    assert {record["id"]: record["attempts"] for record in records} == life.began
    assert injector.persist(injector.marked) == []
    return noticed


def made(folder):
    """Return the command's two folders, once they are there."""
    folders = [folder / "kept", folder / "temporary"]
    for each in folders:
        each.mkdir()
    return list(map(str, folders))


def journal(folder):
    lines = (folder / "kept/records.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def served(network, number):
    """Return whether trials run on a node."""
    return any(kind_of(pid) == "trial" for pid in network.pids(network.names[number]))


def raylets(network):
    """Return how many nodes have come up."""
    return sum(kind_of(pid) == "raylet" for name in network.names for pid in network.pids(name))
