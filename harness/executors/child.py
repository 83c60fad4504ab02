"""The life of one trial's process, from the fork to its answer."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import pkgutil
import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import psutil

from harness import environment
from harness.executors.protocol import Request, encode

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
FIRST_TO_GO = b"1000"  # the kernel, out of memory, kills a trial before anything else
RESERVE = 10  # a tenth of the memory stays free: with none left, every program stands still
LIBC = ctypes.CDLL(None, use_errno=True)


def live(request: Request, server: int, answers: int, output: int) -> NoReturn:
    """Call the request's target behind its walls, write what it finds there, its answer, and exit.

    Both are lines to `answers`; the first is there however the second ends.
    """
    before = b"\n"  # an empty line, where it came to an end before it could look around
    try:
        _wall_off(request, server, output)
        _write(answers, encode({**environment.describe(), **_limits(request)}))
        before = b""
        answer: dict[str, Any] = {"result": pkgutil.resolve_name(request.target)(request.payload)}
        line = json.dumps(answer).encode()
    except BaseException as error:  # whatever a plugin raises, SystemExit too, is an answer
        traceback.print_exc()
        words = "".join(traceback.format_exception_only(error)).strip()
        line = json.dumps({"error": words, "out_of_memory": _is_out_of_memory(error)}).encode()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    _write(answers, before + line)
    os._exit(0)  # the exit handlers are the fork server's


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends before it."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def _wall_off(request: Request, server: int, output: int) -> None:
    """Set what the kernel enforces; the output comes first, so that it tells of the rest."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.setpgid(0, 0)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)  # it died before it was to be outlived
    adopt_orphans()  # they are the fork server's once this process is over, and not before
    faulthandler.enable()
    os.environ.update(request.variables)
    _set_threads(request.variables)
    if request.cores:
        os.sched_setaffinity(0, request.cores)
    _set_niceness(request.niceness)
    Path("/proc/self/oom_score_adj").write_bytes(FIRST_TO_GO)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not request.variables.get("CUDA_VISIBLE_DEVICES"):
        _cap(request.memory_bytes)


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether it is Python's error for that, or torch's, of which it has one for devices."""
    torch = sys.modules.get("torch")
    kinds = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds)


def _set_niceness(niceness: int) -> None:
    """Set it where that is allowed; a record tells the niceness in force."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    except PermissionError:
        sys.stderr.write(f"niceness {niceness} needs a privilege; it stays {os.nice(0)}\n")


def _set_threads(variables: Mapping[str, str]) -> None:
    """Have torch heed its variable, which it read when it was imported, in another process."""
    torch = sys.modules.get("torch")
    if torch is not None and "OMP_NUM_THREADS" in variables:
        torch.set_num_threads(int(variables["OMP_NUM_THREADS"]))


def _cap(memory_bytes: int | None) -> None:
    """Let allocations beyond the cap fail in the trial.

    Not with CUDA, which maps more memory than there is: there harness/device.py holds a trial to
    the same limit on the device.
    """
    memory = psutil.virtual_memory()
    cap = (
        max(0, memory.available - memory.total // RESERVE) if memory_bytes is None else memory_bytes
    )
    present = int(_status()["VmData"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (present + cap, present + cap))


def _limits(request: Request) -> dict[str, Any]:
    """Return the limits in force; the one of its time is the fork server's to keep."""
    data, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return {
        "seconds_limit": request.seconds,
        "data_bytes_limit": None if data == resource.RLIM_INFINITY else data,
        "oom_score": int(Path("/proc/self/oom_score_adj").read_text()),
    }


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)
