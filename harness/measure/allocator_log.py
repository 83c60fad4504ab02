"""The CPU allocator's account from its log, folded as the lines come: nothing is kept.

torch's CPU allocator writes a line for every block it gives out or takes back, and the bytes alive
then, where the flag `caffe2_report_cpu_memory_usage` is set. The lines go to standard error: for
the length of a run that is a pipe to a process of its own (fold_log.py), for a thread here could
not read while the allocator writes. The kernel's pipe holds 64 KiB and the writer waits for the
reader, so that a run of any length costs no memory.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.measure import fold_log
from harness.measure.account import Traced, marks
from harness.rig import Rig

INFO = 0  # the level of the allocator's lines
STANDARD_ERROR = 2


@dataclass(frozen=True, slots=True)
class _Switches:
    """Two flags of torch's core library."""

    report: ctypes.c_bool
    level: ctypes.c_int  # lines below it are not written


@functools.cache
def _switches() -> _Switches | None:
    """Return the flags; None where the installed torch does not export them."""
    library = ctypes.CDLL(str(torch._C.__file__))  # finds what it is linked to as well
    try:
        report = ctypes.c_bool.in_dll(library, "FLAGS_caffe2_report_cpu_memory_usage")
        return _Switches(report, ctypes.c_int.in_dll(library, "FLAGS_caffe2_log_level"))
    except ValueError:
        return None


def is_there() -> bool:
    """Return whether the installed torch can write its allocator's log."""
    return _switches() is not None


def traced(rig: Rig, run: Callable[[], None]) -> Traced:
    """Return the account of `run` from the lines of the log.

    Raises:
        RuntimeError: no line was understood.
    """
    with _folded() as said, marks(rig, _write_mark), _reporting():
        torch.empty(1, dtype=torch.uint8)  # the first line tells where the count stands
        run()
    if not said:
        raise RuntimeError("the allocator's log could not be read: torch words it differently")
    found = json.loads(said[0])
    return Traced(found["kept_bytes"], found["peak_bytes"], "the allocator's log")


def _write_mark(held: int) -> None:
    os.write(STANDARD_ERROR, fold_log.MARK % held)


@contextmanager
def _folded() -> Iterator[list[bytes]]:
    """Make standard error a pipe to a process that folds it, and put what that says in the list.

    It says nothing where it understood nothing. What is no log passes through it.
    """
    said: list[bytes] = []
    command = [sys.executable, "-I", "-S", str(Path(fold_log.__file__))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None, "it was asked for"
        sys.stderr.flush()
        usual = os.dup(STANDARD_ERROR)
        os.dup2(reader.stdin.fileno(), STANDARD_ERROR)
        try:
            yield said
        finally:
            sys.stderr.flush()
            os.dup2(usual, STANDARD_ERROR)
            os.close(usual)
            found, _ = reader.communicate()  # closes the last end to write to
            said += [found] if reader.returncode == 0 else []


@contextmanager
def _reporting() -> Iterator[None]:
    switches = _switches()
    assert switches is not None, "asked for only where it is there"
    level = switches.level.value
    switches.report.value, switches.level.value = True, INFO
    try:
        yield
    finally:
        switches.report.value, switches.level.value = False, level
