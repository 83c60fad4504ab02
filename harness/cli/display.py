"""What is seen while trials run: a live bar on a terminal, plain lines elsewhere, or JSON."""

from __future__ import annotations

import json
import math
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from types import TracebackType

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cli import words
from harness.forecast.progress import Progress, Remaining
from harness.trial import STATUSES, Record, Trial

ETA_SECONDS = 1.0  # how often it is worked out: thousands of trials are added up for it
WIDE = 0.5  # relative; from here on an ETA's two ends say more than its middle
BEAT_SECONDS = 0.5  # how soon something to say is said
BAR_LETTERS = 8  # where a terminal is narrow
# Below the rest, and short: a terminal writes "^C" after it, which must not begin another line.
HINT = "Ctrl-C stops cleanly; again kills"
STOPPING = "stopping the trials that run; Ctrl-C again kills them"
HEARTBEAT_SECONDS = 30.0  # without a line for so long, a log looks dead


class Tally:
    """How far a sweep is; any thread may ask."""

    def __init__(self, name: str, total: int, before: int, progress: Progress) -> None:
        """Count `total` trials, of which `before` were recorded by an earlier command."""
        self.name = name
        self.total = total
        self.before = before
        # All of them from the start: the screen's thread goes through them as others are counted.
        self.statuses = Counter(dict.fromkeys(STATUSES, 0))
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

    def stopping(self) -> None:
        """Show that an interrupt was heard; called in a signal's handler, so that it only notes."""
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
        self._stopping = False
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

    def stopping(self) -> None:
        """Have the heart say that it takes a moment."""
        self._stopping = True

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
        told = False
        while not self._ended.wait(BEAT_SECONDS):
            if self._stopping and not told:
                told = True
                click.echo(STOPPING, err=True)
            if time.monotonic() - self._last >= HEARTBEAT_SECONDS:
                self._last = time.monotonic()
                done = f"{self.tally.finished:,} of {self.tally.total:,} trials"
                click.echo(f"... {done}, {self.tally.remaining()}")


@dataclass(slots=True)
class Node:
    """A line of the live display."""

    running: dict[str, tuple[Trial, float]] = field(default_factory=dict)  # by id: trial, since
    ended: int = 0

    def row(self, name: str, now: float) -> tuple[Text, Text, Text, Text]:
        """Return its name, what it has run for longest, for how long, and what it has behind it."""
        trials = Text(words.plural(self.ended, "trial"), style="dim")
        if not self.running:
            return Text(name, style="cyan"), Text("idle", style="dim"), Text(""), trials
        trial, since = min(self.running.values(), key=lambda each: each[1])
        others = f"  and {len(self.running) - 1} more" if len(self.running) > 1 else ""
        seconds = Text(words.duration(now - since), style="dim")
        return Text(name, style="cyan"), Text(f"{trial}{others}"), seconds, trials


class LiveDisplay(Display):
    """A bar, a line a node with what it runs, and failures as they come."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self.tally = tally
        self._nodes: defaultdict[str, Node] = defaultdict(Node)
        self._lock = threading.Lock()  # the screen is drawn by a thread of its own
        self._hint = HINT
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
            self._forget(trial)  # it may have been lost with another
            self._nodes[node].running[trial.id] = trial, time.monotonic()
        self.tally.started(trial)

    def kept(self, record: Record) -> None:
        """Move the bar; a failure gets a line that stays."""
        with self._lock:
            self._forget(record.trial)
            if record.node:
                self._nodes[record.node].ended += 1
        self.tally.kept(record)
        if record.status not in ("done", "skipped"):
            line = Text(f"{record.status:8}", style=words.COLOURS[record.status])
            self._console.print(line.append(f"{record.trial}  {words.headline(record)}", ""))

    def stopping(self) -> None:
        """Say in the last line that it takes a moment."""
        self._hint = STOPPING

    def _forget(self, trial: Trial) -> None:
        for node in self._nodes.values():
            node.running.pop(trial.id, None)

    def _drawn(self) -> Group:
        tally = self.tally
        bar = Table.grid(padding=(0, 2), expand=True)
        bar.add_column(no_wrap=True)
        bar.add_column(ratio=1, min_width=BAR_LETTERS)
        for _ in range(3):
            bar.add_column(no_wrap=True)
        name, found = Text(tally.name, style="bold"), words.counts(tally.statuses.elements())
        done = f"{tally.finished:,}/{tally.total:,}"
        progress = ProgressBar(tally.total, tally.finished)
        bar.add_row(name, progress, done, Text(found), tally.remaining())
        return Group(bar, self._lines(), Text(self._hint, style="dim"))

    def _lines(self) -> Table | Text:
        """Return a line a node; a word, before the first trial has begun."""
        with self._lock:
            now = time.monotonic()
            rows = [node.row(name, now) for name, node in sorted(self._nodes.items())]
        if not rows:
            return Text("waiting for a node to be ready", style="dim")
        lines = Table.grid(padding=(0, 2), expand=True)
        lines.add_column(no_wrap=True)
        lines.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        lines.add_column(no_wrap=True, justify="right")
        lines.add_column(no_wrap=True, justify="right")
        for row in rows:
            lines.add_row(*row)
        return lines


def chosen(tally: Tally, as_json: bool, shared: bool) -> Display:
    """Return the display that suits where the output goes; others may print there too."""
    if as_json:
        return JsonDisplay()
    console = Console()
    live = console.is_terminal and not shared
    return LiveDisplay(tally, console) if live else PlainDisplay(tally)
