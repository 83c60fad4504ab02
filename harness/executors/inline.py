"""Runs trials in this process, one after another: for a debugger, not for figures.

Nothing protects the command here. A trial that crashes ends it, one that hangs hangs it, and
neither affinity nor limits are in force, but the one on a GPU's memory; what a trial leaves behind
is there for the next. So one that runs out of memory says nothing of others (implied.py).
"""

from __future__ import annotations

import pkgutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.executors.implied import SHORT_OF
from harness.executors.settings import OnStart, Settings, ignore
from harness.trial import Record, Trial


def run(
    trials: Sequence[Trial], settings: Settings, on_start: OnStart = ignore
) -> Iterator[Record]:
    """Yield the record of every trial, in order; an exception that `target` lets out gets out."""
    target = pkgutil.resolve_name(settings.target)
    node = socket.gethostname()
    for trial in trials:
        on_start(trial, node)
        started = time.time()
        record = Record.from_json(target(trial.to_json()))
        values = {name: one for name, one in record.values.items() if name != SHORT_OF}
        yield replace(record, values=values, started=started, ended=time.time(), node=node)
