"""Two runs that never ran, of known speed: what `compare` should find in them."""

from dataclasses import replace

import fake_records as fake
import numpy as np

from harness.report.compare import Run
from harness.trial import Record

BASE, NATIVE, TRUNCATED = fake.IMPLEMENTATIONS[:3]
SERIES = {BASE.label: 1.0, NATIVE.label: 0.4, TRUNCATED.label: 0.9}
LENGTHS = (64, 256)
BLOCKS = 8
PROCESS, BLOCK = 0.005, 0.03  # what a process draws for itself, and a block for all of it


def run(
    seed: int,
    machine: float = 1.0,
    times: dict[str, float] | None = None,
    node: str = "bench-01",
    blocks: int = BLOCKS,
) -> Run:
    """Return a run on a machine that takes `machine` times as long, floor and all.

    `times`: what a method takes more of, by its label. Every block has the baseline's copy too.
    """
    rng = np.random.default_rng(seed)
    changed = times or {}
    records = []
    for block in range(blocks):
        whole = machine * np.exp(rng.normal(0, BLOCK))
        for length in LENGTHS:
            for implementation in (BASE, NATIVE, TRUNCATED):
                label = implementation.label
                of = fake.trial("speed", implementation, length=length, block=block)
                own = SERIES[label] * changed.get(label, 1.0)
                records.append(timed(of, whole * length, own, node, rng))
                if implementation.baseline:
                    copy = replace(of, replica=1)
                    records.append(timed(copy, whole * length, own, node, rng))
    return Run(f"run {seed}", tuple(records))


def timed(of, moment, own, node, rng) -> Record:
    """Return a speed record: the machine's moment is in both the method and its floor."""
    seconds, floor = 1e-4 * moment * np.array([own, 0.2]) * np.exp(rng.normal(0, PROCESS, 2))
    return fake.record(
        of, node, values={"sample_seconds": [float(seconds)], "floor_seconds": [float(floor)]}
    )


def changed(of: Run, **fields) -> Run:
    """Return the run with every record changed."""
    return replace(of, records=tuple(replace(record, **fields) for record in of.records))
