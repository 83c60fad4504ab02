"""What runs on a node for a sweep: it owns the node's fork server and passes trials to it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import TimeoutError as NoAnswer
from pathlib import Path
from typing import Any

from harness import environment
from harness.doctor.kernel import Kernel
from harness.executors.client import (
    CLOSE_SECONDS,
    READY_SECONDS,
    Client,
    Launch,
    ServerLost,
    end_strays,
)
from harness.executors.cores import gpus, physical_cores
from harness.executors.forkserver import remove
from harness.executors.near import cores_near
from harness.executors.protocol import Report, Request

GRACE_SECONDS = 30.0  # beyond a trial's limit, after which its fork server is taken to hang
# An agent that is well answers within these, whatever its fork servers do: it waits until another
# thread has ended the last one, and ends one itself.
RUN_SECONDS = GRACE_SECONDS + 2 * CLOSE_SECONDS  # beyond a trial's limit
HELLO_SECONDS = READY_SECONDS + 2 * CLOSE_SECONDS


class Agent:
    """One a node. Every method takes and returns plain data; any thread may call `run`.

    The two folders are those of the command; on another machine there may be none of that name.
    """

    def __init__(self, module: str, folder: str, temporary: str, path: str | None) -> None:
        self._module = module
        self._folder = folder if os.path.isdir(folder) else None
        self._temporary = temporary if os.path.isdir(temporary) else None
        self._lock = threading.Lock()
        self._given = path  # to a fork server that is there already
        self._launch: Launch | None = None
        self._client: Client | None = None
        self._proved = False  # one came up here: what keeps the next from it may pass
        self._failed = False  # the last one, by itself
        self._running: list[Request] = []
        self._exclusive = False

    def hello(self) -> dict[str, Any]:
        """Return who this is and what it offers, or the fault that keeps it from working.

        It starts a fork server where the last was lost. `passing`: another start may fare better.
        """
        fault = self._start()
        return {
            "name": socket.gethostname(),
            "pid": os.getpid(),
            "cores": physical_cores(),
            "gpus": gpus(),
            "near": cores_near(gpus(), Kernel()),
            "kind": environment.cpu_model(),
            "fault": str(fault or ""),
            "passing": fault is not None and (self._proved or not self._failed),
        }

    def run(self, request: Mapping[str, Any], exclusive: bool) -> dict[str, Any]:
        """Return the report of a request."""
        one = Request.from_json(request)
        with self._lock:
            if self._running and (exclusive or self._exclusive):
                both = exclusive and self._exclusive
                assert both, "a timing trial shares its node with one that is not"
                assert all(map(one.apart, self._running)), "two timing trials share what is theirs"
            self._running.append(one)
            self._exclusive = exclusive
        try:
            return self._report(one).to_json()
        finally:
            with self._lock:
                self._running.remove(one)

    def close(self) -> None:
        """End the fork server and its trials, leaving no file behind."""
        self._drop(self._client)

    def _report(self, request: Request) -> Report:
        client = self._client
        if client is None:
            return Report(key=request.key, lost="the fork server had just ended")
        try:
            return client.submit(request).result(request.seconds + GRACE_SECONDS)
        except ServerLost as lost:
            self._drop(client)
            return Report(key=request.key, lost=str(lost))
        except NoAnswer:
            self._drop(client)
            return Report(key=request.key, lost="what starts trials there hung")

    def _start(self) -> ServerLost | None:
        """Have a connection to a fork server, starting one where none is; return why not."""
        with self._lock:
            if self._client is None:
                try:
                    self._client = self._connect()
                except ServerLost as lost:
                    return lost
                self._proved = True
            return None

    def _connect(self) -> Client:
        path = self._given
        try:
            if path is None:
                self._launch = Launch(self._module, self._folder, self._temporary)
                path = self._launch.path
            return Client(path)
        except ServerLost:
            self._failed = self._launch is not None and self._launch.failed
            self._end()  # it may only have stopped
            raise
        except OSError as error:
            self._failed = True
            self._end()
            raise ServerLost("could not be started", str(error)) from error

    def _drop(self, client: Client | None) -> None:
        """End a fork server that failed, unless another thread did so already."""
        with self._lock:
            if client is None or client is not self._client:
                return
            self._client = None
            client.close()
            self._end()

    def _end(self) -> None:
        """End the fork server, if it lives, and what its children left."""
        if self._launch is not None:
            self._launch.close()
        elif self._given is not None:
            end_strays(Path(self._given).parent)
            remove(Path(self._given).parent)  # killed, it could not
        self._launch = self._given = None
