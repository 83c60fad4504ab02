"""Which trials a results folder is about now: the journal also keeps those of earlier sweeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from harness.store.lock import StoreError

PLANNED = "planned.json"


def write_planned(folder: Path, identities: Iterable[str]) -> None:
    """Keep the ids of the trials that the folder's sweep asks for, in place of the last ones."""
    path = folder / PLANNED
    beside = path.with_suffix(".new")
    try:
        beside.write_text(json.dumps(sorted(identities), indent=0) + "\n", encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def read_planned(folder: Path) -> frozenset[str] | None:
    """Return the ids that were kept; None for a folder that has none.

    Raises:
        StoreError: the file holds something else.
    """
    path = folder / PLANNED
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise StoreError(f"{path} is no list of trial ids; resume the sweep to write it again")
    return frozenset(found)
