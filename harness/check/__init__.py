"""Does a plugin keep its promises: the conformance that `bptt check` and the tests run.

Small problems in float64, ragged on purpose: one step, one sequence, a last window that is shorter
than the rest. Every comparison is with the oracle, or with a second way to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from harness.check.cells import check_cell
from harness.check.clips import check_clip
from harness.check.finding import Finding
from harness.check.gradients import check_gradient
from harness.check.tasks import check_task
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
    """Return a finding for every promise of the plugin `choice` of `kind`."""
    return tuple(CHECKS[kind](registry, choice))
