"""How costs grow with the sequence's length, and where methods change places."""

from __future__ import annotations

import math

import pandas as pd

from harness import stats
from harness.report.pairs import ESTIMATE, SETTING, as_row, groups

MISFIT = 0.05  # a measured length further than this off the law: it is another curve
OFFSET = ["offset_exponent", "offset_exponent_low", "offset_exponent_high"]
OFFSET += ["overhead", "overhead_low", "overhead_high", "offset_misfit"]
CROSSING = ["length", "length_low", "length_high", "measured_from", "measured_to"]


def exponents(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return how `key` grows with T, two laws side by side: one row a setting and series.

    key ~ T^c: `estimate`, `low`, `high`, `misfit`. key = a + b T^c: `offset_exponent` c and
    `overhead` a with their ends, `offset_misfit`; missing under 4 lengths, or where the blocks do
    not tell c. Fitted per block, intervals over blocks. A misfit is how far, for sure,
    some measured length is off the law; where that is beyond 5 %, the curve is of another kind.
    """
    rows = []
    for named, table in _curves(frame, key):
        lengths = [int(length) for length in table.columns]
        blocks = table.to_numpy().tolist()
        law = stats.power_law(lengths, blocks)
        if law is None:
            continue
        pure = {**as_row(law.exponent), "misfit": law.misfit}
        rows.append({**named, **pure, **_offset(stats.offset_power_law(lengths, blocks))})
    return pd.DataFrame(rows, columns=[*SETTING, "implementation", *ESTIMATE, "misfit", *OFFSET])


def crossings(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return where each series and the baseline cost the same: one row a crossing.

    `length` with its ends, the measured lengths around them, who is cheaper `before` it. A series
    without a crossing has one row, and `outcome` says why: not within the range (who is cheaper
    all along stands in `before`), undecided, or too few blocks.
    """
    rows = []
    series = {tuple(named.items()): table for named, table in _curves(frame, key)}
    base_of = _baselines(frame)
    for named_items, table in series.items():
        named = dict(named_items)
        base = base_of.get(tuple(named[name] for name in SETTING))
        if base is None or named["implementation"] == base:
            continue
        rival = series.get(tuple({**named, "implementation": base}.items()))
        if rival is not None:
            rows += [{**named, "base": base, **one} for one in _against(table, rival, base, named)]
    columns = [*SETTING, "implementation", "base", "outcome", "before", *CROSSING]
    return pd.DataFrame(rows, columns=[*columns, "blocks"])


def _curves(frame: pd.DataFrame, key: str) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """Return each series with its blocks that have every length.  # (blocks, lengths)"""
    known = frame[(frame["status"] == "done") & (frame[key] > 0) & (frame["replica"] == 0)]
    found = []
    for named, group in groups(known, [*SETTING, "implementation"]):
        table = group.pivot_table(index="block", columns="sequence_length", values=key)
        whole = table.dropna()
        if len(whole):
            found.append((named, whole))
    return found


def _baselines(frame: pd.DataFrame) -> dict[tuple[object, ...], str]:
    """Return the baseline's name in every setting."""
    rows = frame[frame["baseline"]].drop_duplicates(SETTING)
    return {
        tuple(row[name] for name in SETTING): row["implementation"] for _, row in rows.iterrows()
    }


def _against(
    table: pd.DataFrame, rival: pd.DataFrame, base: str, named: dict[str, object]
) -> list[dict[str, object]]:
    blocks = table.index.intersection(rival.index)
    lengths = table.columns.intersection(rival.columns)
    if not len(blocks) or not len(lengths):
        return []
    new, old = (one.loc[blocks, lengths].to_numpy() for one in (table, rival))
    got = stats.crossings([int(length) for length in lengths], new.tolist(), old.tolist())
    names = {"new": named["implementation"], "base": base}
    many = {"outcome": got.outcome, "blocks": len(blocks)}
    if not got.found:
        sure = got.outcome == "not within the range"
        first = ("new" if new[0, 0] < old[0, 0] else "base") if sure else None
        return [{**many, "before": names.get(str(first)), **dict.fromkeys(CROSSING, math.nan)}]
    return [
        {
            **many,
            "before": names[one.cheaper_before],
            "length": one.length.estimate,
            "length_low": one.length.low,
            "length_high": one.length.high,
            "measured_from": one.measured[0],
            "measured_to": one.measured[1],
        }
        for one in got.found
    ]


def _offset(law: stats.OffsetPowerLaw | None) -> dict[str, float]:
    if law is None:
        return dict.fromkeys(OFFSET, math.nan)
    power, overhead = law.exponent, law.overhead
    ends = (power.estimate, power.low, power.high, overhead.estimate, overhead.low, overhead.high)
    return dict(zip(OFFSET, (*ends, law.misfit), strict=True))
