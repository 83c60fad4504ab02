"""What is said to a fork server and what it answers, as JSON lines over a socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

GPU = "CUDA_VISIBLE_DEVICES"  # of a trial: the one accelerator that it has, or none
SOCKET, LOG = "socket", "log"  # in a fork server's folder: where it listens, what it printed


@dataclass(frozen=True, slots=True)
class Request:
    """One call of `target(payload)` in a fresh process, and the walls around it."""

    key: str  # comes back in the report
    target: str  # "module:function", from plain data to plain data
    payload: Mapping[str, Any]
    seconds: float  # wall time, after which the whole process group is killed
    memory_bytes: int | None = None  # on top of what the fork server uses; None: all there is
    cores: tuple[int, ...] = ()  # logical CPUs it may use; empty: those of the fork server
    niceness: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)  # set in its environment

    def apart(self, other: Request) -> bool:
        """Return whether the two have an accelerator each, and cores of their own."""
        mine, theirs = self.variables.get(GPU, ""), other.variables.get(GPU, "")
        cores = bool(self.cores and other.cores) and not set(self.cores) & set(other.cores)
        return cores and "" not in (mine, theirs) and mine != theirs

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return plain(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Request:
        """Return the request that `to_json` was called on."""
        return cls(**{**data, "cores": tuple(data["cores"])})


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a request: its result, or everything known about why there is none."""

    key: str
    result: Mapping[str, Any] | None = None
    error: str = ""  # the exception that ended it, in one line
    out_of_memory: bool = False  # by a MemoryError, or killed while the kernel had none left
    timed_out: bool = False
    signal: int | None = None  # that killed it
    code: int | None = None  # its exit code
    output: str = ""  # the last lines it printed
    peak_bytes: int = 0  # largest resident set, the fork server's share included
    started: float = 0.0  # seconds since 1970
    ended: float = 0.0
    lost: str = ""  # why nothing is known: the fork server or its node ended first
    environment: Mapping[str, Any] = field(default_factory=dict)  # as the trial found it at first

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return plain(self)


@dataclass(frozen=True, slots=True)
class Ask:
    """A call for any node: which of its cores it gets is settled there."""

    target: str
    payload: Mapping[str, Any]
    seconds: float
    threads: int = 0  # cores that it is tied to; 0: none, it may use them all
    accelerated: bool = False
    memory_bytes: int | None = None

    def request(self, cores: Sequence[int], gpus: Sequence[str]) -> Request:
        """Return the call on a node that has these."""
        gpu = gpus[0] if self.accelerated and gpus else ""
        return Request(
            key="",
            target=self.target,
            payload=self.payload,
            seconds=self.seconds,
            memory_bytes=self.memory_bytes,
            cores=tuple(cores[: self.threads]),
            variables=variables(self.threads, gpu) if self.threads else {},
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return plain(self)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said to one of the calls, or why it says nothing any more."""

    node: str
    index: int  # of the call
    report: Report | None
    why: str = ""


def variables(threads: int, gpu: str) -> dict[str, str]:
    """Return what a trial's environment says of its threads and its accelerator."""
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # that of `near.py`, and of nvidia-smi
        GPU: gpu,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    }


class Channel:
    """JSON messages, one a line, over a connected socket; any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lines = connection.makefile("rb")
        self._sending = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            OSError: the other end is gone.
        """
        with self._sending:
            self._socket.sendall(encode(message))

    def receive(self) -> dict[str, Any] | None:
        """Return the next message; None once the other end is gone, or said nothing in time."""
        try:
            line = self._lines.readline()
        except OSError:
            return None
        return json.loads(line) if line.endswith(b"\n") else None

    def wait_at_most(self, seconds: float | None) -> None:
        """Set how long to wait for the other end; None: for ever."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Tell the other end that nothing follows, and wake a thread that waits here."""
        with contextlib.suppress(OSError):  # the other end closed first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def dispose(self) -> None:
        """Give the descriptor back, once no thread receives any more."""
        self._lines.close()


def plain(message: Any) -> dict[str, Any]:
    """Return the fields of a message, which hold plain data.

    `dataclasses.asdict` copies all that is in them, which for a trial takes longer than its JSON.
    """
    return {each.name: getattr(message, each.name) for each in fields(message)}


def encode(message: Mapping[str, Any]) -> bytes:
    """Return the line that carries `message`."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
