"""What kind of gradient an implementation gives, by what its own records claim.

No plugin says its kind: exact, unbiased or biased is its claim, and a biased method that says which
part of the exact gradient it keeps, be it none of the cell's, is the exact gradient cut there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import pandas as pd

UNCOMPARED = ""  # no trial compared it with the oracle
MOST_SERIES = 8  # beside the baseline, that colours tell apart and one panel holds
MEANINGS: Mapping[str, str] = MappingProxyType(  # in the order in which they are shown
    {
        "exact": "full BPTT's gradient, up to rounding, by another way",
        "truncated": "the exact gradient without what lies behind a cut",
        "unbiased": "random, and the exact gradient on average",
        "approximate": "biased otherwise: traces of a part, a guess, a control",
        UNCOMPARED: "not compared with the oracle",
    }
)
RANK: Mapping[str, int] = MappingProxyType({kind: place for place, kind in enumerate(MEANINGS)})


def kinds(frame: pd.DataFrame) -> dict[str, str]:
    """Return each implementation's kind: of its claims over cells and lengths the weakest."""
    found = {}
    for name, group in frame.groupby("implementation"):
        claims = set(group["claim"].dropna())
        if "biased" in claims:
            biased = group[group["claim"] == "biased"]
            part = biased["reach_steps"].notna() | biased["agrees"].notna()  # compared with it
            found[str(name)] = "truncated" if part.all() else "approximate"
        else:
            known = [claim for claim in ("unbiased", "exact") if claim in claims]
            found[str(name)] = known[0] if known else UNCOMPARED
    return found


def by_kind(names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of each kind that has any, in the order of the kinds."""
    found: dict[str, list[str]] = {}
    for kind in MEANINGS:
        mine = [name for name, own in names.items() if own == kind]
        if mine:
            found[kind] = mine
    return found


def is_crowded(others: Collection[str], own: Mapping[str, str]) -> bool:
    """Return whether there are more series beside the baseline than one panel, or table, holds.

    Where all are of one kind there is nothing to sort them by, and they stay together.
    """
    return len(others) > MOST_SERIES and len({own[name] for name in others}) > 1
