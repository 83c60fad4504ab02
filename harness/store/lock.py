"""One driver a results folder: a second one is refused, a dead one is succeeded."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOCK = "driver.lock"


class StoreError(Exception):
    """A results folder cannot be used; the message says why and what to do."""


def lock(folder: Path) -> int:
    """Return the descriptor that holds the folder until `unlock`, or its process ends.

    Raises:
        StoreError: another driver holds it, here or on another machine.
    """
    path = folder / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreError(_busy(path, holder)) from None
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            break
        os.close(descriptor)  # whoever held it has deleted it between our two steps
    holder = _holder(descriptor)
    if holder.get("host", socket.gethostname()) != socket.gethostname():
        os.close(descriptor)  # locks may not reach across machines, so it is not ours to take
        raise StoreError(_busy(path, holder))
    os.ftruncate(descriptor, 0)
    ours = {"host": socket.gethostname(), "pid": os.getpid()}
    os.pwrite(descriptor, json.dumps(ours).encode(), 0)
    return descriptor


def unlock(folder: Path, descriptor: int) -> None:
    """Give the folder back."""
    (folder / LOCK).unlink(missing_ok=True)
    os.close(descriptor)


def _holder(descriptor: int) -> dict[str, Any]:
    try:
        return dict(json.loads(os.pread(descriptor, 4096, 0)))
    except ValueError:
        return {}


def _busy(path: Path, holder: Mapping[str, Any]) -> str:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return f"{path.parent} is in use by {who}; wait for it, or if it is gone delete {path}"
