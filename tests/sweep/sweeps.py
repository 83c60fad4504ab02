"""A small sweep to change in tests."""

from pathlib import Path

from harness.registry import ConfigurationError, Registry
from harness.sweep import Planned, Sweep, draft, expand, read

REGISTRY = Registry.scan()
SMALL = """schema = 1
[sweep]
name = "small"
blocks = 2
[axes]
sequence_length = [16, 8]
cell = ["elman", "lstm"]
task = "adding"
device = "cpu"
[[implementation]]
name = "full"
gradient = "full_bptt"
baseline = true
[[implementation]]
gradient = { use = "truncated_bptt", stride = 8, depth = [8, 16] }
[[implementation]]
gradient = "native"
clip = { use = "norm", max_norm = 1 }
"""


def sweep_of(text: str, *sets: str, plugins: tuple[Path, ...] = ()) -> Sweep:
    """Return the sweep of a TOML text."""
    found = draft.with_sets(draft.read(text, "small.toml"), sets)
    return read(found, Registry.scan([*found.plugins, *plugins]), plugins)


def mistakes_of(text: str, *sets: str) -> list[str]:
    """Return the sentences with which a TOML text is refused; none if it is not."""
    try:
        sweep_of(text, *sets)
    except ConfigurationError as error:
        return str(error).splitlines()
    return []


def trials_of(text: str, *sets: str) -> tuple[Planned, ...]:
    """Return the trials of a TOML text on a machine that has only a CPU."""
    return expand(sweep_of(text, *sets), ("cpu",), REGISTRY)
