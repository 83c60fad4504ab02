"""TOML to trials: every list is an axis; a typo is refused with file, line and a suggestion."""

from harness.sweep.draft import PRESETS, Draft, open_draft, with_name
from harness.sweep.expand import Planned, expand, settle
from harness.sweep.labels import described, relabelled
from harness.sweep.read import Sweep, read
from harness.sweep.resolved import resolved

__all__ = [
    "PRESETS",
    "Draft",
    "Planned",
    "Sweep",
    "described",
    "expand",
    "open_draft",
    "read",
    "relabelled",
    "resolved",
    "settle",
    "with_name",
]
