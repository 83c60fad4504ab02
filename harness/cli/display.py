"""What is seen while trials run: a live bar on a terminal, plain lines elsewhere, or JSON."""

from __future__ import annotations

import json
import math
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from types import TracebackType

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cli import words
from harness.forecast.progress import Progress, Remaining
from harness.trial import Record, Trial

ETA_SECONDS = 1.0  # how often it is worked out: thousands of trials are added up for it
WIDE = 0.5  # relative; from here on an ETA's two ends say more than its middle
HEARTBEAT_SECONDS = 30.0  # without a line for so long, a log looks dead


class Tally:
    """How far a sweep is; any thread may ask."""

    def __init__(self, name: str, total: int, before: int, progress: Progress) -> None:
        """Count `total` trials, of which `before` were recorded by an earlier command."""
        self.name = name
        self.total = total
        self.before = before
        self.statuses: Counter[str] = Counter()
        self._progress = progress
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._told, self._told_at = "", -math.inf

    @property
    def finished(self) -> int:
        """Return the trials that have a record."""
        return self.before + self.statuses.total()

    def started(self, trial: Trial) -> None:
        """Note that a trial runs."""
        with self._lock:
            self._progress.started(trial)

    def kept(self, record: Record) -> None:
        """Note what became of a trial."""
        with self._lock:
            self.statuses[record.status] += 1
            self._progress.ended(record)

    def remaining(self) -> str:
        """Return "52 s, ETA 3 min 10 s (± 20 s)"; the ETA is anew once a second."""
        now = time.monotonic()
        with self._lock:
            if now - self._told_at >= ETA_SECONDS:
                self._told, self._told_at = eta(self._progress.remaining()), now
        return f"{words.duration(now - self._began)}, ETA {self._told}"


def eta(left: Remaining) -> str:
    """Return "3 min (± 20 s)"; a range where little is known."""
    if left.spread < WIDE:
        return f"{words.duration(left.seconds)} (± {words.duration(left.seconds * left.spread)})"
    ends = (left.seconds / (1 + left.spread), left.seconds * (1 + left.spread))
    return " to ".join(dict.fromkeys(map(words.duration, ends)))


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
        self.tally.started(trial)

    def kept(self, record: Record) -> None:
        """Write the record's line."""
        self._last = time.monotonic()
        self.tally.kept(record)
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
        self.tally.started(trial)

    def kept(self, record: Record) -> None:
        """Move the bar; a failure gets a line that stays."""
        with self._lock:
            self._running.pop(record.trial.id, None)
        self.tally.kept(record)
        if record.status not in ("done", "skipped"):
            line = Text(f"{record.status:8}", style=words.COLOURS[record.status])
            self._console.print(line.append(f"{record.trial}  {words.headline(record)}", ""))

    def _drawn(self) -> Group:
        tally = self.tally
        with self._lock:
            running = list(self._running.values())
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
