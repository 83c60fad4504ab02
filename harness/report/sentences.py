"""The answer at one reference point in plain words, and no more than the intervals allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness import stats
from harness.report.pairs import natural
from harness.report.units import BYTES, RATIO, number

BLOCKS_FOR_A_VERDICT = 6  # an exact 95 % interval needs them (MEASURING)
SAME_MEMORY = 1.01  # within 1 %, two methods need the same
MOST_NAMED = 6  # in a sentence; the table has all
Rows = Sequence[dict[str, Any]]


def sentence(where: str, rows: Rows, margin: float) -> str:
    """Return what to use at this point: time first, then the gradient, then memory."""
    clauses = [_time(rows, margin), _floor(rows), _bias(rows), _memory(rows), _disagreement(rows)]
    return f"{where}: " + "; ".join(clause for clause in clauses if clause) + "."


def listed(names: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _time(rows: Rows, margin: float) -> str:
    base = next((row["implementation"] for row in rows if row["baseline"]), "")
    timed = [row for row in rows if math.isfinite(row["time_ratio"])]
    if not timed:
        return "no time ratio, for nothing was timed in the same block as a baseline"
    if any(row["confidence"] < stats.CONFIDENCE for row in timed):
        ordered = sorted(timed, key=lambda row: float(row["time_ratio"]))
        seen = [f"{row['implementation']} {RATIO.text(row['time_ratio'])}" for row in ordered]
        if len(seen) > MOST_NAMED:
            seen[MOST_NAMED - 1 :] = [f"{len(seen) - MOST_NAMED + 1} that take longer"]
        return (
            f"no verdict on time, as {_blocks(timed)} too few ({BLOCKS_FOR_A_VERDICT} are"
            f" needed); seen so far, against {base}: {', '.join(seen)}"
        )
    return _fastest(timed, base, margin)


def _blocks(timed: Rows) -> str:
    """Return "3 blocks are", or "2 to 3 blocks are" where a trial of a block failed."""
    fewest, most = (end(row["blocks"] for row in timed) for end in (min, max))
    if most == 1:
        return "1 block is"
    return f"{fewest} blocks are" if fewest == most else f"{fewest} to {most} blocks are"


def _fastest(timed: Rows, base: str, margin: float) -> str:
    """Return the fastest, or those whose intervals overlap the fastest's."""
    same = {"time_ratio": 1.0, "time_ratio_low": 1 / (1 + margin), "time_ratio_high": 1 + margin}
    rivals = [*timed, {"implementation": base, **same}]
    best = min(rivals, key=lambda row: float(row["time_ratio"]))
    level = [row for row in rivals if row["time_ratio_low"] <= best["time_ratio_high"]]
    names = sorted((row["implementation"] for row in level), key=natural)  # no ranking
    if names == [base]:
        return f"nothing is faster than {base}"
    if len(names) > 1:
        return f"{listed(names)} cannot be told apart as the fastest"
    ends = (best["time_ratio"], best["time_ratio_low"], best["time_ratio_high"])
    return f"{names[0]} is fastest, at {RATIO.interval(*ends)} the time of {base}"


def _floor(rows: Rows) -> str:
    """Return how far the baseline, and whoever is nearest, are from the bare matrix products."""
    known = [row for row in rows if math.isfinite(row["floor_ratio"])]
    if not known:
        return ""
    nearest = min(known, key=lambda row: float(row["floor_ratio"]))
    told = [row for row in known if row["baseline"] and row is not nearest] + [nearest]
    words = [
        f"{row['implementation']}{', the nearest,' if row is nearest else ''}"
        f" {RATIO.interval(*(row[f'floor_ratio{end}'] for end in ('', '_low', '_high')))}"
        for row in told
    ]
    return f"over the time of the bare matrix products: {' and '.join(words)}"


def _bias(rows: Rows) -> str:
    known = [row for row in rows if row["claim"] == "biased" and math.isfinite(row["cosine"])]
    biased = [f"{row['implementation']} {_cosine(row['cosine'])}" for row in known]
    if len(known) > MOST_NAMED:
        low, high = (end(known, key=lambda row: float(row["cosine"])) for end in (min, max))
        ends = [f"{row['implementation']} {_cosine(row['cosine'])}" for row in (low, high)]
        biased = [f"{len(known)} from {' to '.join(ends)}"]
    return f"not the exact gradient, by cosine: {', '.join(biased)}" if biased else ""


def _cosine(value: float) -> str:
    """Return the cosine; one that only looks like 1 is called close to it."""
    return "above 0.999" if 0.999 < value < 1 else number(value)


def _memory(rows: Rows) -> str:
    known = [row for row in rows if math.isfinite(row["memory_ratio"])]
    if len(known) < 2:
        return ""
    least = min(row["memory_ratio"] for row in known)
    level = [row for row in known if row["memory_ratio"] <= least * SAME_MEMORY]
    if len(level) == len(known):
        return "all need the same memory"
    names = listed([row["implementation"] for row in level])
    verb = "needs" if len(level) == 1 else "need"
    amount = f"{RATIO.text(least)} the baseline's, {BYTES.text(level[0]['peak_bytes'])}"
    return f"{names} {verb} the least memory ({amount})"


def _disagreement(rows: Rows) -> str:
    wrong = [row["implementation"] for row in rows if row["agrees"] is False]
    return f"{listed(wrong)} DISAGREES with the float64 oracle: a bug, not a trade" if wrong else ""
