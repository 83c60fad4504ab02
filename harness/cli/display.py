"""What is seen while trials run, where no screen is drawn: plain lines, or JSON."""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType

import click

from harness.cli import words
from harness.cli.tally import Tally
from harness.trial import Record, Trial

STOPPING = "stopping the trials that run; Ctrl-C again kills them"
BEAT_SECONDS = 0.5  # how soon something to say is said
HEARTBEAT_SECONDS = 30.0  # without a line for so long, a log looks dead


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
