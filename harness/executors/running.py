"""A trial's process as its fork server sees it: what it says, and what became of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.executors.protocol import Report, Request

CHUNK_BYTES = 1 << 16  # what a pipe holds
OUTPUT_BYTES = 1 << 14  # of a trial's output, the end is kept
OUTPUT_LINES = 50
GROUP_COUNTS = {  # by a group's controllers: where the kernel counts what it killed in that one
    "memory": "sys/fs/cgroup/memory{}/memory.oom_control",
    "": "sys/fs/cgroup{}/memory.events.local",  # version 2
}


@dataclass(slots=True)
class Pipe:
    """The reading end of what a child writes; keeps everything, or the last `keep` bytes."""

    descriptor: int
    keep: int | None = None
    content: bytes = b""

    def read(self) -> bool:
        """Take in what is there, at most one chunk; return whether there was anything."""
        try:
            chunk = os.read(self.descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return False
        content = self.content + chunk
        self.content = content if self.keep is None else content[-self.keep :]
        return bool(chunk)


@dataclass(slots=True)
class Running:
    """A child and what is known about it so far."""

    request: Request
    pid: int
    exited: int  # pidfd, readable once the child is dead
    answer: Pipe
    output: Pipe
    started: float
    timed_out: bool = False
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.request.seconds

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """Return what must be closed when it is over."""
        return self.exited, self.answer.descriptor, self.output.descriptor

    def kill(self) -> None:
        """End the child, and what it may have started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def bury(self, starvation: Starvation) -> Report:
        """Reap the dead child and return what became of it."""
        _, status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        told, _, line = self.answer.content.partition(b"\n")
        answer = _read(line) if code == 0 else {}
        killed = code == -signal.SIGKILL and not self.timed_out
        return Report(
            key=self.request.key,
            result=answer.get("result"),
            error=answer.get("error", ""),
            out_of_memory=answer.get("out_of_memory", killed and starvation.claim()),
            timed_out=self.timed_out,
            signal=-code if code < 0 else None,
            code=code if code >= 0 else None,
            output=_last_lines(self.output.content),
            peak_bytes=usage.ru_maxrss * 1024,
            started=self.started,
            ended=time.time(),
            environment=_read(told),
        )


class Starvation:
    """Which kills were the kernel's, for want of memory: it counts them, and names nobody."""

    def __init__(self) -> None:
        self._seen = kernel_kills()

    def claim(self) -> bool:
        """Return whether there was one that no other child has claimed."""
        if kernel_kills() <= self._seen:
            return False
        self._seen += 1
        return True

    def forget(self) -> None:
        """Let what was killed so far, none of our children, be no child's."""
        self._seen = kernel_kills()


def kernel_kills(root: Path = Path("/")) -> int:
    """Return how many processes the kernel has killed so far for want of memory.

    In this one's control group, where that is counted: its children are in it, and the first to
    go there (child.FIRST_TO_GO). Else on the whole machine.
    """
    groups = [line.split(":", 2) for line in _lines(root / "proc/self/cgroup")]
    counts = [GROUP_COUNTS[kind].format(group) for _, kind, group in groups if kind in GROUP_COUNTS]
    for name in (*counts, "proc/vmstat"):
        for line in _lines(root / name):
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _read(line: bytes) -> Mapping[str, Any]:
    """Return what a child wrote; nothing where it was torn, or another process wrote to it."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {}


def _last_lines(output: bytes) -> str:
    return "\n".join(output.decode(errors="replace").splitlines()[-OUTPUT_LINES:])
