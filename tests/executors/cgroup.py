"""A small part of this machine's memory, for what may use it up without hurting anybody else."""

import contextlib
import subprocess
import time
from pathlib import Path

LIMITS = {  # by the controllers of a group: where it is mounted, and its file for the limit
    "memory": (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    "": (Path("/sys/fs/cgroup"), "memory.max"),
}
END_SECONDS = 15.0  # for what is in it to be out


@contextlib.contextmanager
def small_memory(name, limit_bytes):
    """Give a folder whose `cgroup.procs` takes processes in; None: this machine makes none.

    The limits of what is around it go on holding.
    """
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers not in LIMITS:
            continue
        mount, limit = LIMITS[controllers]
        home = mount / own.lstrip("/")
        # In version 2 a group that holds processes has no parts with limits of their own.
        folder = (home if controllers else home.parent) / name
        if makes(folder, limit, limit_bytes):
            try:
                yield folder
            finally:
                empty(folder, home)
                folder.rmdir()
            return
    yield None


def makes(folder, limit, limit_bytes):
    """Return whether a group could be made that takes a process in."""
    with contextlib.suppress(OSError):
        folder.mkdir()
        (folder / limit).write_text(str(limit_bytes))
        words = ["sh", "-c", f"echo $$ >{folder}/cgroup.procs"]
        if subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return True
    with contextlib.suppress(OSError):
        folder.rmdir()
    return False


def empty(folder, home):
    """Have what is left in a group go home."""
    deadline = time.monotonic() + END_SECONDS
    while (left := (folder / "cgroup.procs").read_text()) and time.monotonic() < deadline:
        for pid in left.split():
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                (home / "cgroup.procs").write_text(pid)
