"""What each trial was expected to take before it ran, so that a report can tell how true it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.forecast.expected import Expected
from harness.store.lock import StoreError

EXPECTED = "expected.json"


@dataclass(frozen=True, slots=True)
class Expectations:
    """The estimates of a results folder."""

    basis: str = ""  # in words: what they rest on
    trials: Mapping[str, Expected] = field(default_factory=dict)  # by id


def write_expected(folder: Path, new: Expectations) -> None:
    """Keep the estimates; of a trial that has one already, the first one stays."""
    path = folder / EXPECTED
    kept = {**new.trials, **read_expected(folder).trials}
    plain = {name: [one.seconds, one.peak_bytes] for name, one in sorted(kept.items())}
    beside = path.with_suffix(".new")
    try:
        text = json.dumps({"basis": new.basis, "trials": plain}, separators=(",", ":"))
        beside.write_text(text + "\n", encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def read_expected(folder: Path) -> Expectations:
    """Return the estimates that were kept; none for a folder of before there were any.

    Raises:
        StoreError: the file holds something else.
    """
    path = folder / EXPECTED
    if not path.exists():
        return Expectations()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        trials = {name: Expected(*numbers) for name, numbers in found["trials"].items()}
        return Expectations(str(found["basis"]), trials)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        told = "holds no estimates; delete it and resume the sweep to write it again"
        raise StoreError(f"{path} {told}") from error
