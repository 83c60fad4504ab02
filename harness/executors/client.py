"""A fork server as its users see it: started, asked, and told apart from its children's faults."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import psutil

from harness.executors.landing import SERVER_MARK, sweeper
from harness.executors.protocol import LOG, SOCKET, Channel, Report, Request

LOG_BYTES = 4096  # of what a fork server said, the end is shown
READY_SECONDS = 50.0  # for the imports of one, on a machine that is busy with something else
PATIENCE_SECONDS = 5.0  # for a process that was asked to end
EXIT_SECONDS = 1.0  # for one whose socket is closed, or that is taken to hang
CLOSE_SECONDS = 2 * PATIENCE_SECONDS  # to end a fork server, and what its children left
SERVER = "harness.executors.forkserver"
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ServerLost(Exception):
    """A fork server ended, or never came up; told with what it said last."""

    def __init__(self, how: str, words: str) -> None:
        super().__init__(f"the fork server {how}: {words}" if words else f"the fork server {how}")


def environment() -> dict[str, str]:
    """Return the environment in which a Python process imports what this one can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


class Launch:
    """A fork server's process: it ends with this object, or with the process that holds it.

    The socket is there at once, so a client may connect while the imports go on.
    """

    def __init__(self, module: str, folder: str | None = None, within: str | None = None) -> None:
        """Start in `folder`, with the socket in a new folder of this user's alone in `within`."""
        self._folder = Path(tempfile.mkdtemp(prefix="bptt-", dir=within))
        self.path = str(self._folder / SOCKET)
        with (
            socket.socket(socket.AF_UNIX) as listener,
            (self._folder / LOG).open("wb") as log,
        ):
            listener.bind(self.path)
            listener.listen(1)
            self.process = subprocess.Popen(
                [sys.executable, "-m", SERVER, str(listener.fileno()), module],
                stdin=subprocess.PIPE,  # open as long as this process lives
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C at a terminal is not for it
                cwd=folder,
                env={
                    **environment(),
                    **dict.fromkeys(ONE_THREAD, "1"),
                    SERVER_MARK: str(self._folder),
                    "PYTHONUNBUFFERED": "1",  # the last words of a crash are kept
                    "CUDA_VISIBLE_DEVICES": "",
                },
            )

    @property
    def failed(self) -> bool:
        """Return whether it ended by itself, with an error: so would the next."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(EXIT_SECONDS)
        return (self.process.returncode or 0) > 0

    def close(self) -> None:
        """End the fork server, its children, and what those started."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:  # still importing, or stopped
            self.process.kill()
            self.process.wait()
        if self.process.returncode:  # it was killed: no one has seen to what its children left
            end_strays(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)


class Client:
    """The one connection to a fork server; it ends when this is closed, or its process is gone.

    Raises:
        ServerLost: it ended before it was ready.
    """

    def __init__(self, path: str) -> None:
        self._log = Path(path).with_name(LOG)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            raise self._lost("does not answer") from error
        self._channel = Channel(connection)
        self._waiting: dict[str, Future[Report]] = {}
        self._lock = threading.Lock()
        self._channel.wait_at_most(READY_SECONDS)
        ready = self._channel.receive()
        if ready is None:
            self._channel.close()
            self._channel.dispose()
            raise self._lost(f"ended before it was ready, or was not within {READY_SECONDS:g} s")
        self._channel.wait_at_most(None)
        self.pid: int = ready["pid"]
        self.import_seconds: float = ready["import_seconds"]
        # Where both are killed at once, no one else would end what a trial started.
        self._sweeper = os.fdopen(sweeper(str(self._log.parent)), "wb")
        self._reader = threading.Thread(target=self._read_reports, daemon=True)
        self._reader.start()

    def submit(self, request: Request) -> Future[Report]:
        """Return the report to come; it raises ServerLost if the fork server ends before."""
        future: Future[Report] = Future()
        with self._lock:
            self._waiting[request.key] = future
        try:
            self._channel.send(request.to_json())
        except OSError:
            self._lose(request.key)
        if not self._reader.is_alive():
            self._lose(request.key)
        return future

    def close(self) -> None:
        """End the connection, and with it the fork server and its children."""
        self._channel.close()
        self._reader.join()
        self._channel.dispose()
        self._sweeper.close()

    def _read_reports(self) -> None:
        while (message := self._channel.receive()) is not None:
            report = Report(**message)
            with self._lock:
                future = self._waiting.pop(report.key)
            future.set_result(report)
        for key in list(self._waiting):
            self._lose(key)

    def _lose(self, key: str) -> None:
        with self._lock:
            future = self._waiting.pop(key, None)
        if future is not None:
            future.set_exception(self._lost("ended"))

    def _lost(self, how: str) -> ServerLost:
        """Return the error, with the end of what the fork server itself printed."""
        words = self._log.read_bytes()[-LOG_BYTES:] if self._log.exists() else b""
        return ServerLost(how, words.decode(errors="replace").strip())


def end_strays(folder: Path) -> None:
    """Kill what a fork server left until nothing is there, or what no kernel can end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (strays := _strays(folder)) and time.monotonic() < deadline:
        for stray in strays:
            with contextlib.suppress(psutil.NoSuchProcess):
                stray.kill()


def _strays(folder: Path) -> list[psutil.Process]:
    """Return what bears the mark of the fork server in a folder, and lives."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # another's, or gone by now
            if process.environ().get(SERVER_MARK) == str(folder):
                found.append(process)
    return found
