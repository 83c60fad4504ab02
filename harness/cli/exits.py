"""What the commands exit with, and which errors are a user's to correct."""

from __future__ import annotations

import errno

from harness.data import DataError
from harness.executors.settings import ExecutorError, NoSuchCluster, UnlikeNodes
from harness.registry import ConfigurationError, DeviceError, PluginError
from harness.store import StoreError

BUG = 1
USAGE = 2
FAILED_TRIALS = 3
REGRESSION = 4
DISAGREES = 5
NO_DEVICE = 6
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it

FULL = (errno.ENOSPC, errno.EDQUOT)
EXPECTED = (ConfigurationError, PluginError, StoreError, DataError, ExecutorError)


def code_of(error: Exception) -> int:
    """Return the exit code of an expected error."""
    if isinstance(error, DeviceError | NoSuchCluster | UnlikeNodes):
        return NO_DEVICE
    return BUG if isinstance(error, ExecutorError) else USAGE


def of_a_file(error: OSError) -> str:
    """Return what is the matter with a file or its disk; nothing of what is neither."""
    if error.errno in FULL:
        return f"{error.filename or 'a disk'}: no space is left; make room, then run it again"
    return f"{error.filename}: {error.strerror}" if error.filename is not None else ""
