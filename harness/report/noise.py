"""Which numbers are weak: the widest intervals, what their trials were flagged for, A/A copies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from harness.report import pairs
from harness.report.columns import Column, Row, Table, axes, metric, ranged, word
from harness.report.units import COUNT, MISSING, RATIO, SHARE

WEAKEST = 15  # rows; a reader looks at the worst, the CSV of every trial has the rest
MOST_FLAGS = 3  # kinds named in a row; the CSV has all
TIME = "seconds_per_sequence"
KEYS = [*pairs.POINT, "implementation"]


def weakest(frame: pd.DataFrame) -> Table:
    """Return the time ratios least to be trusted: widest interval first, then most flagged."""
    timed = frame[(frame["measurement"] == "speed") & (frame["status"] == "done")]
    rows = [_trials(named, group) for named, group in pairs.groups(timed, KEYS)]
    data = pd.DataFrame(rows, columns=[*KEYS, "noise", "trials", "flagged", "flags"])
    data = data.merge(pairs.ratios(frame, TIME), on=KEYS, how="inner")
    names = {"estimate": "time_ratio", "low": "time_ratio_low", "high": "time_ratio_high"}
    data = data.rename(columns=names)
    half_width = np.sqrt(data["time_ratio_high"] / data["time_ratio_low"]) - 1
    data = data.assign(half_width=half_width, flagged_share=data["flagged"] / data["trials"])
    worst = ["half_width", "flagged_share", *KEYS]
    data = data.sort_values(worst, ascending=[False, False] + [True] * len(KEYS))
    columns = (
        *axes([name for name in pairs.SETTING if name in pairs.varying(frame)]),
        *axes(["sequence_length"]),
        word("implementation"),
        ranged("time_ratio", "time ratio", RATIO),
        Column("interval", lambda row: f"± {SHARE.text(row['half_width'])}"),
        Column("margin", lambda row: SHARE.text(row["margin"])),
        metric("noise", "noisiest trial"),
        Column("confidence", _confidence),
        Column("flagged trials", lambda row: f"{row['flagged']:.0f} of {row['trials']:.0f}"),
        Column("flags", _flags_text, numeric=False),
    )
    note = (
        f"The {WEAKEST} widest of {len(data):,} intervals, as a distance from their middle. The"
        " margin is what counts as no difference there. Flags mark trials, they never remove one."
    )
    return Table("noise", "Which numbers are weak?", note, data.head(WEAKEST), columns)


def bands(frame: pd.DataFrame) -> Table:
    """Return what each node and device cannot tell apart, from the A/A copies of the baseline."""
    margins = pairs.margins(frame, TIME)
    copies = pairs.copies(frame, TIME)
    off = (copies["low"] > 1) | (copies["high"] < 1)
    furthest = np.exp(np.abs(np.log(copies["estimate"].astype(float)))) - 1
    each = copies.assign(off=off, furthest=furthest).groupby(pairs.PLACE, as_index=False)
    data = margins.merge(each[["off", "furthest"]].agg({"off": "sum", "furthest": "max"}))
    shown = [name for name in ("results",) if data[name].nunique() > 1]
    columns = (
        *axes([*shown, "node", "device"]),
        Column("A/A pairs", lambda row: COUNT.text(row["pairs"])),
        Column("A/A band", lambda row: SHARE.text(row["band"])),
        Column("margin of verdicts", lambda row: SHARE.text(row["margin"])),
        Column("furthest pair", lambda row: SHARE.text(row["furthest"])),
        Column("intervals without 1", lambda row: f"{row['off']:.0f} of {row['pairs']:.0f}"),
    )
    note = (
        "The baseline was timed twice in every block; a pair is the two of one setting and length."
        " The band is how far apart they stay beyond what their blocks scatter: 0 where blocks"
        " explain it all. At 95 % one interval in twenty leaves out 1 by chance."
    )
    return Table("copies", "What can no node tell apart?", note, data, columns)


def _trials(named: dict[str, object], group: pd.DataFrame) -> dict[str, object]:
    own = group[group["replica"] == 0]
    flags = [str(text) for text in own["flags"].dropna() if text]
    return {
        **named,
        "noise": own["noise"].max(),
        "trials": len(own),
        "flagged": len(flags),
        "flags": "; ".join(f"{kind} ({count})" for kind, count in _kinds(flags)),
    }


def _kinds(flags: Iterable[str]) -> list[tuple[str, int]]:
    """Return what the trials were flagged for, without its numbers, and how many were."""
    counts: Counter[str] = Counter()
    for text in flags:
        kinds = (re.sub(r"^\d+ of \d+ ", "", flag).partition(":")[0] for flag in text.split("; "))
        counts.update({re.sub(r"\d[\d.,]*", "n", kind) for kind in kinds})
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _flags_text(row: Row) -> str:
    """Return the kinds that most trials were flagged for, and how many more the CSV holds."""
    kinds = str(row["flags"]).split("; ") if row["flags"] else []
    more = f", and {len(kinds) - MOST_FLAGS} more" if len(kinds) > MOST_FLAGS else ""
    return ", ".join(kinds[:MOST_FLAGS]) + more or MISSING


def _confidence(row: Row) -> str:
    return f"{SHARE.text(row['confidence'])} of {row['count']:.0f} blocks"
