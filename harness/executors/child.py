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
from pathlib import Path
from typing import Any, NoReturn

import psutil

from harness.executors.protocol import Request

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
FIRST_TO_GO = b"1000"  # the kernel, out of memory, kills a trial before anything else
RESERVE = 10  # a tenth of the memory stays free: with none left, every program stands still
LIBC = ctypes.CDLL(None, use_errno=True)


def live(request: Request, server: int, answers: int, output: int) -> NoReturn:
    """Call the request's target behind its walls, write the answer to `answers`, and exit."""
    try:
        _wall_off(request, server, output)
        answer: dict[str, Any] = {"result": pkgutil.resolve_name(request.target)(request.payload)}
        line = json.dumps(answer).encode()
    except BaseException as error:  # whatever a plugin raises, SystemExit too, is an answer
        traceback.print_exc()
        words = "".join(traceback.format_exception_only(error)).strip()
        line = json.dumps(
            {"error": words, "out_of_memory": isinstance(error, MemoryError)}
        ).encode()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    while line:
        line = line[os.write(answers, line) :]
    os._exit(0)  # the exit handlers are the fork server's


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
    faulthandler.enable()
    os.environ.update(request.variables)
    if request.cores:
        os.sched_setaffinity(0, request.cores)
    _set_niceness(request.niceness)
    Path("/proc/self/oom_score_adj").write_bytes(FIRST_TO_GO)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not request.variables.get("CUDA_VISIBLE_DEVICES"):
        _cap(request.memory_bytes)


def _set_niceness(niceness: int) -> None:
    """Set it where that is allowed; a record tells the niceness in force."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    except PermissionError:
        sys.stderr.write(f"niceness {niceness} needs a privilege; it stays {os.nice(0)}\n")


def _cap(memory_bytes: int | None) -> None:
    """Let allocations beyond the cap fail in the trial.

    Not with CUDA, which maps more memory than there is.
    """
    memory = psutil.virtual_memory()
    cap = (
        max(0, memory.available - memory.total // RESERVE) if memory_bytes is None else memory_bytes
    )
    present = int(_status()["VmData"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (present + cap, present + cap))


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)
