"""What the commands exit with, and which errors are a user's to correct."""

from __future__ import annotations

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

EXPECTED = (ConfigurationError, PluginError, StoreError, DataError, ExecutorError)


def code_of(error: Exception) -> int:
    """Return the exit code of an expected error."""
    if isinstance(error, DeviceError | NoSuchCluster | UnlikeNodes):
        return NO_DEVICE
    return BUG if isinstance(error, ExecutorError) else USAGE
