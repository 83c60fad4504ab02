"""A process that has imported everything once, and forks a clean child for each request.

Started as `python -m harness.executors.forkserver LISTENER MODULE` by `client.Launch`: LISTENER is
the descriptor of a listening socket, MODULE is imported and its `prepare` called before the first
request. It runs no operation and has one thread, because a child inherits the state of every lock
but not the threads that hold them. It ends, and kills its children, when its one client or its
starter is gone.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from harness import environment
from harness.executors import child
from harness.executors.protocol import LOG, SOCKET, Request, encode
from harness.executors.running import CHUNK_BYTES, OUTPUT_BYTES, Pipe, Running, Starvation

ACCELERATORS = "/dev/nvidia"  # what CUDA keeps open, once it was called


class Server:
    """Requests in, reports out, many children at a time, in one thread."""

    def __init__(self, client: socket.socket, starter: int, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._received = b""
        self._running: dict[int, Running] = {}
        self._starvation = Starvation()
        self._selector = selectors.PollSelector()  # not epoll: a fork would share it
        self._watch(client.fileno(), self._read_requests)
        self._watch(starter, self._stop)

    def serve(self) -> NoReturn:
        """Answer requests until the client or the starter is gone."""
        while True:
            for key, _ in self._selector.select(self._patience()):
                if self._selector.get_map().get(key.fd) is key:  # not closed by one before it
                    key.data()
            for running in self._running.values():
                if time.monotonic() >= running.deadline and not running.timed_out:
                    running.timed_out = True
                    running.kill()

    def _watch(self, descriptor: int, react: Callable[[], object]) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ, react)

    def _patience(self) -> float | None:
        deadlines = [each.deadline for each in self._running.values() if not each.timed_out]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _read_requests(self) -> None:
        try:
            chunk = self._client.recv(CHUNK_BYTES)
        except OSError:  # killed, it took no leave
            chunk = b""
        if not chunk:
            self._stop()
        *lines, self._received = (self._received + chunk).split(b"\n")
        for line in lines:
            self._start(Request.from_json(json.loads(line)))

    def _start(self, request: Request) -> None:
        if not self._running:
            self._starvation.forget()
        answer, answers = os.pipe()
        output, outputs = os.pipe()
        started, server = time.time(), os.getpid()
        pid = os.fork()
        if pid == 0:
            for key in self._selector.get_map().values():
                os.close(key.fd)
            os.close(answer)
            os.close(output)
            child.live(request, server, answers, outputs)
        with contextlib.suppress(OSError):  # it is dead already
            os.setpgid(pid, pid)  # as the child does: whichever comes first
        os.close(answers)
        os.close(outputs)
        os.set_blocking(answer, False)
        os.set_blocking(output, False)
        running = Running(
            request=request,
            pid=pid,
            exited=os.pidfd_open(pid),
            answer=Pipe(answer),
            output=Pipe(output, keep=OUTPUT_BYTES),
            started=started,
        )
        self._running[pid] = running
        self._watch(running.exited, lambda: self._finish(running))
        self._watch(answer, lambda: self._read(running.answer))
        self._watch(output, lambda: self._read(running.output))

    def _read(self, pipe: Pipe) -> None:
        if not pipe.read():
            self._selector.unregister(pipe.descriptor)  # closed at the other end

    def _finish(self, running: Running) -> None:
        running.kill()  # the rest of its group, while the dead leader still keeps the number
        running.answer.read()  # what was left in the pipe, which holds no more than a chunk
        running.output.read()
        report = running.bury(self._starvation)
        for descriptor in running.descriptors:
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
            os.close(descriptor)
        del self._running[running.pid]
        self._end_orphans()
        try:
            self._client.sendall(encode(report.to_json()))
        except OSError:  # it went as it was told
            self._stop()

    def _end_orphans(self) -> None:
        """End what trials that are over started in other groups: it is this process's child now."""
        while orphans := _children() - self._running.keys():
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _stop(self) -> NoReturn:
        for running in self._running.values():
            running.kill()
            os.waitpid(running.pid, 0)
        self._running.clear()
        self._end_orphans()
        remove(self._folder)
        os._exit(0)


def touched(descriptors: Path) -> bool:
    """Return whether one of a process's open files is an accelerator."""
    files = [os.readlink(each) for each in descriptors.iterdir() if each.is_symlink()]
    return any(file.startswith(ACCELERATORS) for file in files)


def _children() -> set[int]:
    """Return the processes whose parent this is; none where the kernel does not list them."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(map(int, listed.read_text().split())) if listed.exists() else set()


def remove(folder: Path) -> None:
    """Remove what the starter made for this process, which may be gone without having done so."""
    for name in (SOCKET, LOG):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the starter was first
        folder.rmdir()


def main(listener: socket.socket, module: str) -> NoReturn:
    """Import `module`, let it `prepare`, then serve the one client that connects."""
    began = time.monotonic()
    pkgutil.resolve_name(f"{module}:prepare")()
    environment.describe()  # keeps what stays as it is, for every child to tell
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        sys.exit(f"preparing {module} started {threads - 1} threads; a fork needs a process of one")
    if touched(Path("/proc/self/fd")):
        sys.exit(f"preparing {module} opened an accelerator; CUDA does not work after a fork")
    child.adopt_orphans()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page it looks at
    waiting = selectors.PollSelector()
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(sys.stdin, selectors.EVENT_READ)
    folder = Path(listener.getsockname()).parent
    if sys.stdin in [key.fileobj for key, _ in waiting.select()]:
        remove(folder)
        sys.exit("the starter was gone before a client came")
    client, _ = listener.accept()
    listener.close()
    ready = {"pid": os.getpid(), "import_seconds": time.monotonic() - began}
    with contextlib.suppress(OSError):  # it is gone already, as is seen next
        client.sendall(encode(ready))
    Server(client, sys.stdin.fileno(), folder).serve()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
