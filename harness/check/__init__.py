"""Does a plugin keep its promises: the conformance that `bptt check` and the tests run.

Small problems in float64, ragged on purpose: one step, one sequence, a last window that is shorter
than the rest. Every comparison is with the oracle, or with a second way to the same numbers.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.check.cells import check_cell
from harness.check.clips import check_clip
from harness.check.finding import Finding, finding
from harness.check.gradients import check_gradient
from harness.check.tasks import check_task
from harness.data import DataError
from harness.registry import Kind, Registry
from harness.trial import Choice

__all__ = ["Finding", "check"]

CHECKS: Mapping[Kind, Callable[[Registry, Choice], Iterator[Finding]]] = {
    "gradients": check_gradient,
    "clips": check_clip,
    "cells": check_cell,
    "tasks": check_task,
}


def check(registry: Registry, kind: Kind, choice: Choice) -> tuple[Finding, ...]:
    """Return a finding for every promise of the plugin `choice` of `kind`.

    A plugin that raises has broken the promise to run; what was found before is kept.

    Raises:
        DataError: a data pack that the plugin reads cannot be had, which is not its fault.
    """
    found: list[Finding] = []
    try:
        for one in CHECKS[kind](registry, choice):
            found.append(one)
    except DataError:
        raise
    except Exception as error:  # whatever a plugin may raise
        place = f"after {found[-1].place}" if found else "at the start"
        said = f"{type(error).__name__}: {error}{_line_of(registry, error)}"
        found.append(finding(choice, "runs without an error", place, False, said))
    return tuple(found)


def _line_of(registry: Registry, error: Exception) -> str:
    """Return the last line of a plugin that the error came through, in brackets."""
    files = {str(plugin.path.absolute()) for plugin in registry.plugins}
    frames = traceback.extract_tb(error.__traceback__)
    lines = [(frame.filename, frame.lineno) for frame in frames if frame.filename in files]
    return f" ({Path(lines[-1][0]).name}:{lines[-1][1]})" if lines else ""
