"""Sweeps in small, one after another in fresh processes, judged by the report's own code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.executors import ray
from harness.executors.settings import Settings
from harness.registry import Registry
from harness.report import metrics, pairs
from harness.sweep import draft, expand, read
from harness.sweep.values import BLOCKS
from harness.trial import Record, Trial

HERE = Path(__file__).parent
TIME = "seconds_per_sequence"
RIVAL = "rival"
SWEEP = """schema = 1
[sweep]
name = "bench"
blocks = {blocks}
seed = {seed}
[axes]
sequence_length = {lengths}
cell = "elman"
task = "adding"
hidden_size = 32
batch_size = 8
device = "cpu"
optimizer = "{optimizer}"
[[implementation]]
name = "base"
gradient = {base}
baseline = true
[[implementation]]
name = "rival"
gradient = {rival}
[measure]
passes = "speed"
[measure.speed]
warmup_seconds = 0.03
min_samples = 6
min_seconds = 0.05
min_sample_seconds = 0.005
max_samples = 20
phase_sequences = 1
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gradient methods in a sweep's words, and the plugin file that they need."""

    base: str
    rival: str
    plugin: str
    optimizer: str = "adam"


TWINS = Pair('"full_bptt"', '"twin"', "twin.py")
SLOWED = Pair('"full_bptt"', '"slower"', "slower.py")


def clocked(share: float) -> Pair:
    """Return two metronomes, the second of which takes `share` of the first's time.

    What the machine does beside them is next to nothing: an update by SGD.
    """
    rival = f'{{ use = "metronome", share = {share} }}'
    return Pair('"metronome"', rival, "metronome.py", optimizer="sgd")


def trials(
    pair: Pair, seeds: Sequence[int], lengths: Sequence[int], blocks: int = BLOCKS
) -> list[Trial]:
    """Return the trials of one sweep a seed."""
    plugin = HERE / pair.plugin
    registry = Registry.scan([plugin])
    rivals = {"base": pair.base, "rival": pair.rival, "optimizer": pair.optimizer}
    found = []
    for seed in seeds:
        text = SWEEP.format(seed=seed, lengths=list(lengths), blocks=blocks, **rivals)
        sweep = read(draft.read(text, "bench.toml"), registry, (plugin,))
        found += [each.trial for each in expand(sweep, ("cpu",), registry)]
    return found


def frames(planned: Sequence[Trial]) -> dict[int, pd.DataFrame]:
    """Return what the trials gave, a frame a seed, with the seconds since 1970 as `started`."""
    records = list(ray.run(planned, Settings()))
    failed = [record for record in records if record.status != "done"]
    if failed:
        raise SystemExit(f"{len(failed)} trials failed; the first: {failed[0].reason}")
    return {seed: _frame(mine) for seed, mine in _by_seed(records)}


def _by_seed(records: Sequence[Record]) -> Iterator[tuple[int, list[Record]]]:
    for seed in sorted({record.trial.seed for record in records}):
        yield seed, [record for record in records if record.trial.seed == seed]


def _frame(records: list[Record]) -> pd.DataFrame:
    frame = metrics.frame(records, "bench")
    return frame.assign(started=[record.started for record in records])


def drifted(frame: pd.DataFrame, whole: float) -> pd.DataFrame:
    """Return the frame as of a machine that grew slower by `whole` from its first trial to last."""
    passed = frame["started"] - frame["started"].min()
    return frame.assign(**{TIME: frame[TIME] * (1 + whole * passed / passed.max())})


def drifted_in_turn(frame: pd.DataFrame, whole: float) -> pd.DataFrame:
    """Return the same, had the rival run when all others were done: what blocks are there for."""
    turn = frame.assign(last=frame["implementation"] == RIVAL).sort_values(["last", "started"])
    slower = 1 + whole * np.arange(len(turn)) / (len(turn) - 1)
    return turn.assign(**{TIME: turn[TIME] * slower}).drop(columns="last")


def verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the report's verdict on the rival at every length."""
    return pairs.ratios(frame, TIME)


def scatter(found: Iterable[pd.DataFrame]) -> float:
    """Return by how much medians of the same code differ from process to process, at one length.

    A standard deviation of logarithms, robust: from the middle half.
    """
    rows = pd.concat(list(found))
    base = rows[rows["baseline"]]
    off = np.log(base[TIME]) - np.log(base.groupby("sequence_length")[TIME].transform("median"))
    quarter, three = np.quantile(off, [0.25, 0.75])
    return float(three - quarter) / 1.349


def told(found: Sequence[pd.DataFrame]) -> str:
    """Return how often each verdict was given, and how wide intervals and margins were."""
    rows = pd.concat(found)
    counts = ", ".join(f"{name} {count}" for name, count in rows["verdict"].value_counts().items())
    width = ((rows["high"] - rows["low"]) / rows["estimate"] / 2).median()
    ratio, margin = rows["estimate"].median(), rows["margin"].median()
    return f"{counts}; ratio {ratio:.4f}, interval ± {width:.2%}, margin {margin:.2%} (medians)"
