"""What is seen on a terminal while trials run: a bar, a line a node, failures as they come."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cli import words
from harness.cli.display import STOPPING, Display, JsonDisplay, PlainDisplay
from harness.cli.tally import Tally
from harness.trial import Record, Trial

BAR_LETTERS = 8  # where a terminal is narrow
HEADS = ("node", "device", "runs now", "for", "trials", "scatter")
# Below the rest, and short: a terminal writes "^C" after it, which must not begin another line.
HINT = "Ctrl-C stops cleanly; again kills"


@dataclass(slots=True)
class Node:
    """A line of the live display."""

    running: dict[str, tuple[Trial, float]] = field(default_factory=dict)  # by id: trial, since
    ended: int = 0
    scatter: str = ""  # of the latest timing
    doubt: str = ""  # what was wrong with that, the first of it

    def end(self, record: Record) -> None:
        """Count a trial that ended here; of a timing, note how far it may be trusted."""
        self.ended += 1
        if record.status == "done" and record.trial.measurement == "speed":
            self.scatter = words.scatter(record)
            self.doubt = next(iter(record.values.get("flags", ())), "")

    def row(self, name: str, now: float) -> tuple[Text, ...]:
        """Return what stands below HEADS; of several trials, the one that has run for longest."""
        behind = Text(f"{self.ended:,}", style="dim")
        scatter = Text(self.scatter, style="yellow" if self.doubt else "dim")
        if not self.running:
            idle = Text("idle", style="dim")
            return Text(name, style="cyan"), Text(""), idle, Text(""), behind, scatter
        trial, since = min(self.running.values(), key=lambda each: each[1])
        others = f"  and {len(self.running) - 1} more" if len(self.running) > 1 else ""
        seconds = Text(words.duration(now - since), style="dim")
        now_text = Text(f"{trial}{others}")
        return Text(name, style="cyan"), Text(trial.device), now_text, seconds, behind, scatter


class LiveDisplay(Display):
    """A bar, a line a node with what it runs, and failures as they come."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self.tally = tally
        self._nodes: defaultdict[str, Node] = defaultdict(Node)
        self._lock = threading.Lock()  # the screen is drawn by a thread of its own
        self._doubtful = ""  # the node with a weak timing, the latest of them
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
            if record.node and record.attempts:  # else its node had no part in it
                self._nodes[record.node].end(record)
                if self._nodes[record.node].doubt:
                    self._doubtful = record.node
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

    def _lines(self) -> Group | Table | Text:
        """Return a line a node and what disturbs it; a word, before the first trial has begun."""
        with self._lock:
            now = time.monotonic()
            nodes = sorted(self._nodes.items())
            rows = [node.row(name, now) for name, node in nodes]
            doubt = self._nodes[self._doubtful].doubt if self._doubtful else ""
        if not rows:
            return Text("waiting for a node to be ready", style="dim")
        lines = Table.grid(padding=(0, 2), expand=True)
        lines.add_column(no_wrap=True)
        lines.add_column(no_wrap=True)
        lines.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for _ in range(3):
            lines.add_column(no_wrap=True, justify="right")
        lines.add_row(*HEADS, style="dim")
        for row in rows:
            lines.add_row(*row)
        said = f"! {self._doubtful}: {doubt}" if doubt else ""
        below = Text(said, style="yellow", no_wrap=True, overflow="ellipsis")
        return Group(lines, below) if said else lines


def chosen(tally: Tally, as_json: bool, shared: bool) -> Display:
    """Return the display that suits where the output goes; others may print there too."""
    if as_json:
        return JsonDisplay()
    console = Console()
    live = console.is_terminal and not shared
    return LiveDisplay(tally, console) if live else PlainDisplay(tally)
