"""The whole examination as plain data, for a fresh process on whatever node it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harness import environment
from harness.doctor import allowance, clock, company, counters, gpu, processor, software
from harness.doctor.kernel import Kernel


def examine_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the findings, what machine this is, and its counters; what the executors call."""
    kernel = Kernel()
    found = [
        *company.findings(kernel),  # first: the rest of the examination is company too
        *processor.findings(kernel),
        *gpu.findings(),
        *allowance.findings(kernel),
        *software.findings(),
        *clock.findings(kernel),
    ]
    return {
        "environment": environment.describe(),
        "findings": [asdict(one) for one in found],
        "counters": asdict(counters.read(kernel)),
    }
