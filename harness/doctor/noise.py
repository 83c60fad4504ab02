"""How much two equal things differ here: one trial against itself, pair after pair (A/A)."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from harness import stats
from harness.doctor.finding import Finding, disturbs, fine, unknown
from harness.trial import Choice, Implementation, Limits, Record, SpeedProtocol, Trial

PAIRS = 8  # the default count of blocks: an exact 95 % interval, with two to lose
SECONDS = 0.25  # of samples a process: 16 processes, with their starts, take about 10 s
WARMUP_SECONDS = 0.1
PROCESS_SECONDS = 0.15  # to fork it, build the model, split one sequence and write the record
PROTOCOL = SpeedProtocol(
    warmup_seconds=WARMUP_SECONDS,
    min_seconds=SECONDS,
    max_seconds=SECONDS,
    phase_sequences=1,
)
TOPIC = "A/A noise"


@dataclass(frozen=True, slots=True)
class Noise:
    """What the copies' times were, and what follows."""

    first_seconds: tuple[float, ...]  # of each pair, the median of a fresh process
    second_seconds: tuple[float, ...]
    ratio: stats.Interval  # second over first, over the pairs
    band: float  # how far from 1 the interval reaches: what this machine cannot tell apart


def trials(pairs: int) -> list[Trial]:
    """Return the same trial over and over: 2 a pair, of which chance decides the first."""
    chance = random.Random(0)
    made = []
    for pair in range(pairs):
        for replica in chance.sample((0, 1), 2):
            made.append(_trial(pair, replica))
    return made


def judged(records: Sequence[Record]) -> Noise | None:
    """Return the noise; None where no pair is whole."""
    medians = {
        (record.trial.block, record.trial.replica): statistics.median(
            record.values["sample_seconds"]
        )
        for record in records
        if record.status == "done"
    }
    whole = sorted(pair for pair, replica in medians if not replica and (pair, 1) in medians)
    if not whole:
        return None
    first = tuple(medians[pair, 0] for pair in whole)
    second = tuple(medians[pair, 1] for pair in whole)
    ratio = stats.paired_ratio(second, first)
    return Noise(first, second, ratio, max(ratio.high, 1 / ratio.low) - 1)


def seconds(pairs: int) -> float:
    """Return about how long so many pairs take."""
    return pairs * 2 * (WARMUP_SECONDS + SECONDS + PROCESS_SECONDS)


def findings(records: Sequence[Record], noise: Noise | None) -> list[Finding]:
    """Return whether two equal things look equal, and whether they ran as they were to."""
    return [_threads(records), _noise(records, noise)]


def _noise(records: Sequence[Record], noise: Noise | None) -> Finding:
    if noise is None:
        reasons = [record.reason.partition("\n")[0] for record in records if record.reason]
        return unknown(TOPIC, reasons[0] if reasons else "no pair of trials came to its end")
    ratio = noise.ratio
    ends = [f"{100 * (one - 1):+.2f}" for one in (ratio.estimate, ratio.low, ratio.high)]
    pairs = f"{ratio.count} pair{'s' if ratio.count > 1 else ''}"
    seen = f"{pairs} of equal trials differ by {ends[0]} % [{ends[1]}, {ends[2]}]"
    if ratio.confidence < stats.CONFIDENCE:
        return unknown(TOPIC, f"{seen}: too few pairs for an interval", f"--pairs {PAIRS}")
    band = f"{seen}: under {100 * noise.band:.1f} % nothing can be told apart here"
    if noise.band <= stats.MARGIN:
        return fine(TOPIC, band)
    return disturbs(TOPIC, band, "quieten the machine, or take more blocks: [sweep] blocks = 15")


def _threads(records: Sequence[Record]) -> Finding:
    """Return whether trials got the threads that they asked for."""
    done = [record for record in records if record.status == "done"]
    if not done:
        return unknown("threads", "no trial ran")
    wrong = {
        record.values["threads_in_force"]
        for record in done
        if record.values["threads_in_force"] != record.trial.threads
    }
    if not wrong:
        return fine("threads", "trials run on as many as they ask for")
    return disturbs("threads", f"asked for 1, in force {sorted(wrong)}", "see variables")


def _trial(pair: int, replica: int) -> Trial:
    protocol: Mapping[str, int | float] = asdict(PROTOCOL)
    return Trial(
        measurement="speed",
        implementation=Implementation(Choice("full_bptt"), label="A/A", baseline=True),
        cell=Choice("elman"),
        task=Choice("adding"),
        sequence_length=64,
        hidden_size=32,
        batch_size=8,
        device="cpu",
        dtype="float32",
        threads=1,
        update="window",
        optimizer="adam",
        learning_rate=0.001,
        block=pair,
        seed=0,
        protocol=protocol,
        limits=Limits(seconds=60.0),
        replica=replica,
    )
