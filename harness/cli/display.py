"""What is seen while trials run: a live bar on a terminal, plain lines elsewhere, or JSON."""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cli import words
from harness.trial import Record, Trial

HEARTBEAT_SECONDS = 30.0  # without a line for so long, a log looks dead


@dataclass
class Tally:
    """How far a sweep is."""

    name: str
    total: int
    before: int  # recorded by an earlier command
    statuses: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    @property
    def finished(self) -> int:
        """Return the trials that have a record."""
        return self.before + self.statuses.total()

    def remaining(self) -> str:
        """Return "52 s, ETA 3 min", from the trials that this command has run."""
        elapsed = time.monotonic() - self.began
        ran = self.statuses.total() - self.statuses["skipped"]
        if not ran:
            return words.duration(elapsed)
        left = elapsed / ran * (self.total - self.finished)
        return f"{words.duration(elapsed)}, ETA {words.duration(left)}"


class Display(ABC):
    """Is told of every trial, as a context around the run."""

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    @abstractmethod
    def started(self, trial: Trial, node: str) -> None:
        """Show that a trial runs."""

    @abstractmethod
    def kept(self, record: Record) -> None:
        """Show what became of a trial."""


class JsonDisplay(Display):
    """One JSON object a line, on standard output."""

    def started(self, trial: Trial, node: str) -> None:
        """Write a `started` event."""
        self._write({"event": "started", "id": trial.id, "trial": str(trial), "node": node})

    def kept(self, record: Record) -> None:
        """Write a `record` event."""
        self._write({"event": "record", "trial": str(record.trial), "record": record.to_json()})

    def _write(self, event: dict[str, object]) -> None:
        click.echo(json.dumps(event))


class PlainDisplay(Display):
    """One line a trial, and a heartbeat when nothing comes for long."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._ended = threading.Event()
        self._last = time.monotonic()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Display:
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._heart.join()

    def started(self, trial: Trial, node: str) -> None:
        """Say nothing: the record's line says it all."""

    def kept(self, record: Record) -> None:
        """Write the record's line."""
        self._last = time.monotonic()
        self.tally.statuses[record.status] += 1
        place = f"[{self.tally.finished}/{self.tally.total}]"
        click.echo(f"{place} {record.status:7} {record.trial}  {words.headline(record)}")

    def _beat(self) -> None:
        while not self._ended.wait(1.0):
            if time.monotonic() - self._last >= HEARTBEAT_SECONDS:
                self._last = time.monotonic()
                done = f"{self.tally.finished:,} of {self.tally.total:,} trials"
                click.echo(f"... {done}, {self.tally.remaining()}")


class LiveDisplay(Display):
    """A bar, what runs on each node, and failures as they come."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self.tally = tally
        self._running: dict[str, tuple[Trial, str, float]] = {}  # by id: trial, node, since
        self._lock = threading.Lock()  # the screen is drawn by a thread of its own
        self._console = console
        self._live = Live(get_renderable=self._drawn, console=self._console, transient=True)

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def started(self, trial: Trial, node: str) -> None:
        """Show the trial on its node."""
        with self._lock:
            self._running[trial.id] = (trial, node, time.monotonic())

    def kept(self, record: Record) -> None:
        """Move the bar; a failure gets a line that stays."""
        with self._lock:
            self._running.pop(record.trial.id, None)
            self.tally.statuses[record.status] += 1
        if record.status not in ("done", "skipped"):
            line = Text(f"{record.status:8}", style=words.COLOURS[record.status])
            self._console.print(line.append(f"{record.trial}  {words.headline(record)}", ""))

    def _drawn(self) -> Group:
        with self._lock:
            tally, running = self.tally, list(self._running.values())
        title = Text(f"{tally.name}  ", style="bold").append(
            "Ctrl-C stops cleanly; again kills", "dim"
        )
        bar = Table.grid(padding=(0, 2))
        found = Text(words.counts(tally.statuses.elements()))
        done = f"{tally.finished:,}/{tally.total:,}"
        bar.add_row(ProgressBar(tally.total, tally.finished, 24), done, found, tally.remaining())
        now = Table.grid(padding=(0, 2))
        for trial, node, since in running:
            seconds = words.duration(time.monotonic() - since)
            now.add_row(Text(node, style="cyan"), Text(str(trial)), Text(seconds, style="dim"))
        return Group(title, bar, now)


def chosen(tally: Tally, as_json: bool) -> Display:
    """Return the display that suits where the output goes."""
    if as_json:
        return JsonDisplay()
    console = Console()
    return LiveDisplay(tally, console) if console.is_terminal else PlainDisplay(tally)
