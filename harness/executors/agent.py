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
from harness.executors.client import Client, Launch, ServerLost
from harness.executors.cores import gpus, physical_cores
from harness.executors.forkserver import remove
from harness.executors.protocol import Report, Request

GRACE_SECONDS = 30.0  # beyond a trial's limit, after which its fork server is taken to hang


class Agent:
    """One a node. Every method takes and returns plain data; any thread may call `run`.

    The two folders are those of the command; on another machine there may be none of that name.
    """

    def __init__(self, module: str, folder: str, temporary: str, path: str | None) -> None:
        self._module = module
        self._folder = folder if os.path.isdir(folder) else None
        self._temporary = temporary if os.path.isdir(temporary) else None
        self._lock = threading.Lock()
        self._given = path
        self._launch: Launch | None = None
        self._client: Client | None = None
        self._running = 0
        self._exclusive = False
        self._fault: ServerLost | None = None
        try:
            self._client = self._start() if path is None else Client(path)
        except ServerLost as lost:
            self._fault = lost

    def hello(self) -> dict[str, Any]:
        """Return who this is and what it offers, or the fault that keeps it from working.

        `killed`: the fault is none of its own.
        """
        return {
            "name": socket.gethostname(),
            "pid": os.getpid(),
            "cores": physical_cores(),
            "gpus": gpus(),
            "kind": environment.cpu_model(),
            "fault": str(self._fault or ""),
            "killed": self._fault is not None and not self._fault.words,
        }

    def run(self, request: Mapping[str, Any], exclusive: bool) -> dict[str, Any]:
        """Return the report of a request."""
        with self._lock:
            assert not self._exclusive, "a timing trial shares its node"
            assert not (exclusive and self._running), "a timing trial shares its node"
            self._running += 1
            self._exclusive = exclusive
        try:
            return self._report(Request.from_json(request)).to_json()
        finally:
            with self._lock:
                self._running -= 1
                self._exclusive = False

    def close(self) -> None:
        """End the fork server and its trials, leaving no file behind."""
        self._drop(self._client)

    def _report(self, request: Request) -> Report:
        client = None
        try:
            client = self._server()
            return client.submit(request).result(request.seconds + GRACE_SECONDS)
        except ServerLost as lost:
            self._drop(client)
            return Report(key=request.key, lost=str(lost), untried=client is None)
        except NoAnswer:
            self._drop(client)
            return Report(key=request.key, lost="the fork server hung")

    def _server(self) -> Client:
        """Return a connection that works, starting another fork server if the last was lost."""
        with self._lock:
            if self._client is None:
                self._client = self._start()
            return self._client

    def _start(self) -> Client:
        try:
            self._launch = Launch(self._module, self._folder, self._temporary)
        except OSError as error:
            raise ServerLost("could not be started", str(error)) from error
        try:
            return Client(self._launch.path)
        except ServerLost:
            self._launch.close()  # it may only have stopped
            raise

    def _drop(self, client: Client | None) -> None:
        """End a fork server that failed, unless another thread did so already."""
        with self._lock:
            if client is None or client is not self._client:
                return
            self._client = None
            client.close()
            if self._launch is not None:
                self._launch.close()
            elif self._given is not None:
                remove(Path(self._given).parent)  # killed, it could not
