"""From which length a method keeps less in memory than the baseline: in theory, and as measured.

What is kept is exact and grows along straight lines with T, so that a crossing between two lengths
lies where those lines meet, and theory's beyond the lengths measured where its last ones do. What
was measured is never drawn out beyond its lengths.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd

from harness.report import pairs
from harness.report.columns import Column, Row, Table, axes, is_missing, word
from harness.report.sentences import SAME_MEMORY, listed
from harness.report.units import COUNT, MISSING

Outcome = Literal["less at every length", "less from", "not within", "never", ""]
KEYS = [*pairs.SETTING, "implementation"]
KINDS = {"theory": "theory_kept_bytes", "kept": "kept_bytes", "peak": "peak_bytes"}
STILL = 0.01  # of the baseline's growth: what grows no more than this stands still
COLUMNS = [*KEYS, "base", "length", "outcome", "shortest", "longest", "still"]


def turning_points(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return from which length each series needs less of `key` than the baseline: one row each.

    `length` is missing where `outcome` knows none. `still` says whether `key` stands still as T
    grows, while the baseline's grows.
    """
    curves = pairs.estimates(frame, key)
    base_of = frame[frame["baseline"]].drop_duplicates(pairs.SETTING)
    rows = []
    for named, mine in pairs.groups(curves.assign(block=0), KEYS):
        setting = {name: named[name] for name in pairs.SETTING}
        bases = list(pairs.at(base_of, setting)["implementation"])
        if not bases or bases[0] == named["implementation"]:
            continue
        other = pairs.at(curves, {**setting, "implementation": bases[0]})
        both = mine.merge(other, on="sequence_length", suffixes=("", "_base"))
        both = both.sort_values("sequence_length")
        if len(both):
            lengths, new, old = (
                both[name].to_numpy(float)
                for name in ("sequence_length", "estimate", "estimate_base")
            )
            rows.append({**named, "base": bases[0], **_turn(lengths, new, old)})
    return pd.DataFrame(rows, columns=COLUMNS)


def table(frame: pd.DataFrame) -> Table:
    """Return the lengths from which each series needs less, by theory and as measured."""
    found = {kind: turning_points(frame, key) for kind, key in KINDS.items()}
    data = found["kept"][[*KEYS, "base", "shortest", "longest"]]
    for kind, points in found.items():
        names = {"length": f"{kind}_length", "outcome": f"{kind}_outcome"}
        mine = points[[*KEYS, "length", "outcome"]].rename(columns=names)
        data = data.merge(mine, on=KEYS, how="left")
    data, heads = pairs.ordered(data, frame, pairs.SETTING), pairs.heads(frame, pairs.SETTING)
    columns = (
        *axes(heads),
        word("implementation"),
        word("base", "keeps less than"),
        Column("from T, by theory", lambda row: _text(row, "theory")),
        Column("from T, as measured", lambda row: _text(row, "kept")),
        Column("peak is less from T", lambda row: _text(row, "peak")),
    )
    note = (
        "Kept: held for the backward pass, or carried from step to step in place of one. Less means"
        f" by more than {SAME_MEMORY - 1:.0%}".replace("%", " %")
        + ". Where theory's lines meet"
        " beyond the lengths measured, its length is in brackets; what was measured is not drawn"
        " out. The peak holds parameters, batch and what a step needs besides."
    )
    title = "From which length does it need less memory?"
    return Table("savings", title, note, data, columns, len(heads))


def told(frame: pd.DataFrame) -> str:
    """Return in words from which length on what stands still as T grows is less than what grows."""
    theory, kept = (turning_points(frame, KINDS[kind]) for kind in ("theory", "kept"))
    still = set(theory.loc[theory["still"], "implementation"])
    names: dict[str, list[str]] = {}
    for name in pairs.series_order(frame):
        mine = kept[kept["implementation"] == name]
        if name in still and len(mine):
            own = theory[theory["implementation"] == name]
            names.setdefault(_clause(mine, own), []).append(name)
    if not names:
        return ""
    said = "; ".join(f"{listed(some)} {clause}" for clause, some in names.items())
    base = listed(sorted(set(kept["base"])))
    return f"What stands still as T grows is less than what {base} keeps, which grows: {said}."


def _turn(lengths: Any, new: Any, old: Any) -> dict[str, Any]:
    """Return where `new` falls below `old` for good; three arrays by ascending length."""
    spare = old - SAME_MEMORY * new
    length, outcome = math.nan, ""
    slopes = np.diff(spare) / np.diff(lengths)
    if (spare > 0).all():
        length, outcome = lengths[0], "less at every length"
    elif spare[-1] > 0:
        last = int(np.flatnonzero(spare <= 0)[-1])
        length, outcome = lengths[last] - spare[last] / slopes[last], "less from"
    elif len(slopes):
        growing = slopes[-1] > 0
        outcome = "not within" if growing else "never"
        length = lengths[-1] - spare[-1] / slopes[-1] if growing else math.nan
    growth = np.diff(new)[-1:] <= STILL * np.diff(old)[-1:]
    return {
        "length": float(length),
        "outcome": outcome,
        "shortest": int(lengths[0]),
        "longest": int(lengths[-1]),
        "still": bool(growth.all() and len(growth)),
    }


def _text(row: Row, kind: str) -> str:
    outcome, length = row[f"{kind}_outcome"], row[f"{kind}_length"]
    if is_missing(outcome):
        return MISSING
    if outcome == "less at every length":
        return f"{row['shortest']:,} or less"
    if outcome == "less from":
        return COUNT.text(math.ceil(length))
    within = f"not within {row['shortest']:,} to {row['longest']:,}"
    if kind == "theory" and outcome == "not within":
        return f"{within} ({COUNT.text(math.ceil(length))})"
    return within


def _clause(kept: pd.DataFrame, theory: pd.DataFrame) -> str:
    """Return "from T = 34 to 36 (theory 34)" over all settings."""
    inside = kept[kept["outcome"].isin(["less from", "less at every length"])]
    bounds = f"{kept['shortest'].min():,} to {kept['longest'].max():,}"
    known = np.ceil(theory["length"].dropna())
    by_theory = f"theory {COUNT.span(sorted(known))}" if len(known) else ""
    if inside.empty:
        return f"not within {bounds}" + (f" ({by_theory})" if by_theory else "")
    if (kept["outcome"] == "less at every length").all():
        return f"at every length of {bounds}"
    from_ = COUNT.span(sorted(np.ceil(inside["length"])))
    some = "" if len(inside) == len(kept) else f" in {len(inside)} of {len(kept)} settings"
    return f"from T = {from_}{some}" + (f" ({by_theory})" if by_theory else "")
