"""The journal of a sweep: append one record durably, read back, what is done.

`records.jsonl` only grows, by one line at a time. A line is a record, or says which records were
withdrawn to be run again: of the records of one trial, the first one after its last withdrawal
counts. So a record is never overwritten, and a rerun that is cut off is simply not done yet.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.store.lock import StoreError, lock, unlock
from harness.trial import SCHEMA, Record

JOURNAL = "records.jsonl"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Trials whose records so far no longer count."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal holds."""

    records: tuple[Record, ...]
    unreadable_lines: int


def read(folder: Path) -> Journal:
    """Return the records of a results folder that count; nothing is changed.

    Raises:
        StoreError: there is no journal, or it has another schema.
    """
    path = folder / JOURNAL
    if not path.is_file():
        raise StoreError(f"{folder} holds no {JOURNAL}; name the results folder of a sweep")
    records: dict[str, Record] = {}
    unreadable = 0
    for entry in _entries(path):
        match entry:
            case None:
                unreadable += 1
            case Withdrawal(ids):
                for identity in ids:
                    records.pop(identity, None)
            case Record():
                records.setdefault(entry.trial.id, entry)
    return Journal(tuple(records.values()), unreadable)


class Store:
    """The one writer of a results folder, while it is open as a context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._done: set[str] = set()
        self._withdrawn: set[str] = set()

    def __enter__(self) -> Store:
        """Take the folder.

        Raises:
            StoreError: another driver is at work there, or its journal has another schema.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.folder)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be used: {error.strerror}") from error
        try:
            self._done, self._withdrawn = _ids(self.folder / JOURNAL)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
            self._journal = os.open(self.folder / JOURNAL, flags, 0o644)
            self._mend()
            _sync_folder(self.folder)
        except BaseException:
            unlock(self.folder, self._lock)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._journal)
        unlock(self.folder, self._lock)

    def is_done(self, identity: str) -> bool:
        """Return whether a trial has a record that counts."""
        return identity in self._done

    def is_withdrawn(self, identity: str) -> bool:
        """Return whether a trial's record was withdrawn, and none has come since."""
        return identity in self._withdrawn

    def append(self, record: Record) -> bool:
        """Keep a record for good and return True; return False if its trial has one already."""
        line = record.to_json()
        if line["id"] in self._done:
            return False
        self._write(line)
        self._done.add(line["id"])
        self._withdrawn.discard(line["id"])
        return True

    def withdraw(self, identities: Iterable[str]) -> None:
        """Let the records of these trials no longer count, so that they are run again."""
        withdrawn = sorted(set(identities) & self._done)
        if withdrawn:
            self._write({"schema": SCHEMA, "withdrawn": withdrawn})
            self._done -= set(withdrawn)
            self._withdrawn |= set(withdrawn)

    def _write(self, line: Mapping[str, Any]) -> None:
        finite, nonfinite = _finite(line)
        if nonfinite:
            finite = {**finite, "nonfinite_fields": nonfinite}
        data = json.dumps(finite, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        path = self.folder / JOURNAL
        try:
            written = os.write(self._journal, data)
            os.fdatasync(self._journal)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        if written != len(data):
            raise StoreError(f"{path} cannot be written: no space is left; make room, then resume")

    def _mend(self) -> None:
        """End a last line that a crash has torn, so that the next record starts a line."""
        size = os.fstat(self._journal).st_size
        if size and os.pread(self._journal, 1, size - 1) != b"\n":
            os.write(self._journal, b"\n")


def _entries(path: Path) -> Iterator[Record | Withdrawal | None]:
    """Yield what every line says, None for one that cannot be read.

    Raises:
        StoreError: a line has another schema.
    """
    with path.open("rb") as journal:
        for number, text in enumerate(journal, 1):
            if not text.strip():
                continue
            try:
                line = dict(json.loads(text))
                schema = line["schema"]
                entry = _entry(line) if schema == SCHEMA else None
            except (KeyError, TypeError, ValueError):
                yield None
                continue
            if schema != SCHEMA:
                raise StoreError(
                    f"{path}:{number}: schema {schema!r}; this version reads and writes schema "
                    f"{SCHEMA}: use the version that wrote it, or start another with --name"
                )
            yield entry


def _entry(line: Mapping[str, Any]) -> Record | Withdrawal:
    if "withdrawn" in line:
        return Withdrawal(tuple(line["withdrawn"]))
    return Record.from_json(line)


def _ids(path: Path) -> tuple[set[str], set[str]]:
    """Return the trials that have a record, and those whose record was withdrawn."""
    done: set[str] = set()
    withdrawn: set[str] = set()
    for entry in _entries(path) if path.exists() else ():
        match entry:
            case Withdrawal(ids):
                done -= set(ids)
                withdrawn |= set(ids)
            case Record():
                done.add(entry.trial.id)
                withdrawn.discard(entry.trial.id)
    return done, withdrawn


def _finite(value: Any, path: str = "") -> tuple[Any, list[str]]:
    """Return the value with null for NaN and infinities, and where those were."""
    if isinstance(value, float) and not math.isfinite(value):
        return None, [path]
    if isinstance(value, Mapping):
        inside = {key: _finite(one, f"{path}.{key}" if path else key) for key, one in value.items()}
        return {k: one for k, (one, _) in inside.items()}, _all(p for _, p in inside.values())
    if isinstance(value, list | tuple):
        items = [_finite(one, f"{path}[{index}]") for index, one in enumerate(value)]
        return [one for one, _ in items], _all(p for _, p in items)
    return value, []


def _all(paths: Iterable[list[str]]) -> list[str]:
    return [path for several in paths for path in several]


def _sync_folder(folder: Path) -> None:
    """Make the journal's name as durable as its lines."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
