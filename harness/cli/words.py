"""How the terminal says things: a record in one line, counts and durations."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable

from harness.report.units import BYTES, PLAIN, SECONDS, SHARE, Unit
from harness.trial import STATUSES, Record

COLOURS = {
    "done": "green",
    "skipped": "bright_black",
    "oom": "yellow",
    "timeout": "yellow",
    "nonfinite": "magenta",
    "crashed": "red",
    "failed": "red",
}
REASON_LETTERS = 100  # of a reason, on a line that also names the trial


def headline(record: Record) -> str:
    """Return the one figure that a trial was for, or why there is none."""
    if record.status != "done":
        reason = record.reason.splitlines()[0] if record.reason else "no reason given"
        if len(reason) > REASON_LETTERS:
            reason = reason[: REASON_LETTERS - 1] + "…"
        return f"{reason}  (bptt show {record.trial.id})"
    values = record.values
    match record.trial.measurement:
        case "speed":
            samples = [sample for sample in values["sample_seconds"] if sample is not None]
            return f"{_known(statistics.median(samples), SECONDS)} a sequence"
        case "memory":
            return f"peak {_known(values['peak_bytes'], BYTES)}"
        case "capacity":
            found = f"{values['longest_length']:,} steps fit, bounded by {values['bounded_by']}"
            theory = values["predicted_length"]
            return found if theory is None else f"{found}; theory: {theory:,}"
        case "gradients":
            return f"cosine {_known(values['cosine'], PLAIN)}, {values['verdict']}"
        case _:
            return f"{_known(values['final_score'], PLAIN)} {values['score_name']}"


def scatter(record: Record) -> str:
    """Return "0.80 %": half the middle half of a timing's samples, over their median."""
    samples = [sample for sample in record.values["sample_seconds"] if sample is not None]
    if len(samples) < 2:
        return ""
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return SHARE.text((high - low) / 2 / middle)


def _known(value: int | float | None, unit: Unit) -> str:
    return "not a number" if value is None else unit.text(float(value))


def counts(statuses: Iterable[str]) -> str:
    """Return "2,089 done, 49 oom", in the order in which the statuses are defined."""
    found = Counter(statuses)
    return ", ".join(f"{found[status]:,} {status}" for status in STATUSES if found[status])


def plural(count: int, noun: str) -> str:
    """Return "1 trial" or "2,160 trials"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def bytes_text(amount: float) -> str:
    """Return "5.9 GiB"."""
    return BYTES.text(round(amount))


def duration(seconds: float) -> str:
    """Return "41 s", "1 min 48 s", "12 min" or "1 h 41 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
