"""Finds the processes of a sweep, kills one at random, and says what a fault left behind.

All that a test starts bears its mark, a variable in the environment that is inherited, so that a
process is found though whoever started it is gone.
"""

import contextlib
import os
import signal
import time
from collections import Counter

from harness.executors.landing import SERVER_MARK
from harness.executors.protocol import SOCKET

MARK = "BPTT_TEST"
PATIENCE_SECONDS = 15.0  # for what was killed to be gone, on a machine with other things to do
SERVER = "harness.executors.forkserver"
WORDS = {  # of a command line, before its options
    "driver": "harness.executors.driver",
    "raylet": "raylet/raylet",
    "head": "gcs/gcs_server",
    "command": "command.py",
}


class Injector:
    """Kills by name, counts what it did, and looks after a fault for what should not be."""

    def __init__(self, generator, mark, folder):
        self.generator = generator
        self.folder = folder  # where temporary folders are made
        self.injected = Counter()
        self._mark = f"{MARK}={mark}".encode()

    def kill(self, kind, number=signal.SIGKILL):
        """Signal one process of the kind; return its id, or None where there is none."""
        victims = self.find(kind)
        if not victims:
            return None
        victim = self.generator.choice(victims)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, number)
            self.injected[kind] += 1
        return victim

    def find(self, kind):
        """Return the processes of a kind that this test started, in order."""
        return [pid for pid in self.marked() if kind_of(pid) == kind]

    def marked(self):
        """Return every process that this test started and that lives, in order."""
        pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
        return [pid for pid in pids if self._bears(pid)]

    def _bears(self, pid):
        """Return whether a process is ours; Ray's workers write over their environment."""
        if self._mark in read(pid, "environ").split(b"\0"):
            return True
        worker = read(pid, "cmdline").startswith(b"ray::")
        return worker and self._mark in read(parent_of(pid), "environ").split(b"\0")

    def orphans(self, seconds=PATIENCE_SECONDS):
        """Return what is left of fork servers that are gone, once all had time to go."""
        return persisting(
            lambda: [
                pid
                for pid in self.marked()
                if SERVER_MARK.encode() in read(pid, "environ") and not self._served(pid)
            ],
            seconds,
        )

    def stale_folders(self, seconds=PATIENCE_SECONDS):
        """Return the folders of fork servers that are gone, once all had time to go."""
        return persisting(
            lambda: [
                folder
                for folder, _, names in os.walk(self.folder)  # some vanish as it looks
                if SOCKET in names and folder not in map(folder_of, self.find("fork server"))
            ],
            seconds,
        )

    def persist(self, look):
        """Return what `look` finds, once all had time to go."""
        return persisting(look, PATIENCE_SECONDS)

    def _served(self, pid):
        """Return whether a process is a fork server, or has one for its ancestor."""
        while pid > 1:
            if kind_of(pid) == "fork server":
                return True
            pid = parent_of(pid)
        return False


def persisting(look, seconds):
    """Return what `look` finds, once that is nothing or has been there for long enough."""
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def soon(look, seconds=PATIENCE_SECONDS):
    """Wait until `look` finds something, which it does in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.001)
    return found


def kind_of(pid):
    """Return what a process is in a sweep; a trial looks like the fork server that it is from."""
    words = read(pid, "cmdline").decode(errors="replace").replace("\0", " ")
    if SERVER in words:
        return "trial" if SERVER.encode() in read(parent_of(pid), "cmdline") else "fork server"
    if words.startswith("ray::Agent"):
        return "agent"
    start = words.partition(" --")[0]
    return next((kind for kind, word in WORDS.items() if word in start), "")


def folder_of(server):
    """Return where a fork server listens."""
    entries = read(server, "environ").decode(errors="replace").split("\0")
    return dict(entry.partition("=")[::2] for entry in entries).get(SERVER_MARK)


def parent_of(pid):
    """Return the parent of a process; 0: it is gone."""
    _, _, rest = read(pid, "stat").rpartition(b")")
    return int(rest.split()[1]) if rest else 0


def read(pid, name):
    """Return a file of a process; nothing if it is gone, or another's."""
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:  # twice as fast as a Path
            return file.read()
    except OSError:
        return b""
