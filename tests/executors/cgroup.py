"""A small part of this machine's memory, for what may use it up without hurting anybody else."""

import contextlib
import time
from pathlib import Path

MEMORY = Path("/sys/fs/cgroup/memory")  # where version 1 is mounted, if it is
END_SECONDS = 15.0  # for what is in it to be out


@contextlib.contextmanager
def small_memory(name, limit_bytes):
    """Give a folder whose `cgroup.procs` takes processes in; None: this machine makes none.

    It is a part of the one that this process is in, whose limits go on holding.
    """
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = [line.split(":", 2)[2] for line in lines if line.split(":")[1] == "memory"]
    folder = MEMORY / "/".join([*own, name]).lstrip("/")
    try:
        folder.mkdir()
    except OSError:
        yield None
        return
    try:
        (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
        yield folder
    finally:
        deadline = time.monotonic() + END_SECONDS
        while (left := (folder / "cgroup.procs").read_text()) and time.monotonic() < deadline:
            for pid in left.split():
                with contextlib.suppress(ProcessLookupError):  # it ended by itself
                    (folder.parent / "cgroup.procs").write_text(pid)
        folder.rmdir()
