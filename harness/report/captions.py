"""What a figure or table must say beside its numbers, so that nobody reads too much into them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from harness import stats
from harness.report import pairs
from harness.report.sentences import BLOCKS_FOR_A_VERDICT, listed
from harness.report.units import COUNT, SHARE


def intervals(table: pd.DataFrame, blocks: str = "count") -> str:
    """Return "95 % intervals", or what so few blocks attain instead; `blocks` is their column."""
    known = table.dropna(subset=["confidence"])
    if known.empty or known[blocks].max() <= 1:
        return "no intervals, for nothing was repeated"
    least = known["confidence"].min()
    if least >= stats.CONFIDENCE:
        return f"{SHARE.text(stats.CONFIDENCE)} intervals"
    weakest = known[known["confidence"] == least][blocks].max()
    many = f"{weakest:.0f} block{'s allow' if weakest > 1 else ' allows'}"
    if known["confidence"].max() > least:
        return f"{SHARE.text(least)} intervals or better, the most that {many}"
    return f"{SHARE.text(least)} intervals, the most that {many} ({BLOCKS_FOR_A_VERDICT} give 95 %)"


def updates(known: pd.DataFrame, series: tuple[str, ...]) -> str:
    """Return who makes how many updates a sequence at the longest T; empty where all are equal."""
    longest = pairs.longest(known)
    spans: dict[str, list[str]] = {}
    for name in series:
        mine = longest.loc[longest["implementation"] == name, "updates_per_sequence"].dropna()
        if len(mine):
            spans.setdefault(COUNT.span(mine), []).append(name)
    if len(spans) < 2:
        return ""
    usual = max(spans, key=lambda span: len(spans[span]))
    words = [
        f"{listed(names)} {'make' if len(names) > 1 else 'makes'} {span} updates a sequence"
        for span, names in spans.items()
        if span != usual
    ]
    rules = listed([f'"{rule}"' for rule in sorted(set(longest["update"]))])
    return f" {'; '.join(words)}, the others {usual} (update = {rules})."


def stops(known: pd.DataFrame, ending: str) -> str:
    """Return whether in each setting one budget, named by its `ending`, ended all at the longest T.

    Where not, who ended by what; what diverged had no chance to.
    """
    ended = pairs.longest(known[known["status"] == "done"])
    telling = pairs.varying(ended)
    unlike = []
    for named, group in pairs.groups(ended, pairs.SETTING):
        names: dict[str, list[str]] = {}
        whose = group.assign(stop_reason=group["stop_reason"].fillna("unknown"))
        for row in whose[["implementation", "stop_reason"]].drop_duplicates().itertuples():
            names.setdefault(str(row.stop_reason), []).append(str(row.implementation))
        if len(names) > 1 or not all(reason.endswith(ending) for reason in names):
            said = "; ".join(f"{reason}: {listed(some)}" for reason, some in names.items())
            unlike.append(f"{pairs.describe(named, telling)}, {said}")
    if not unlike:
        return " All had the same budget of it."
    return f" They did not all end by it, so they are not matched: {'. '.join(unlike)}."


def broken(known: pd.DataFrame, series: tuple[str, ...]) -> str:
    """Return who diverged in how many trainings at the longest T; empty where nobody did."""
    longest = pairs.longest(known)
    seen = []
    for name in series:
        mine = longest[longest["implementation"] == name]
        lost = int((mine["status"] == "nonfinite").sum())
        if lost:
            seen.append(f"{name} {lost} of {len(mine)}")
    return f" Diverged, so that curves go on without them: {listed(seen)}." if seen else ""


def diverged(frame: pd.DataFrame) -> str:
    """Return in each setting who diverged over all learning rates and blocks at the longest T.

    Empty where there is one learning rate: then the rows have it.
    """
    known = frame[(frame["measurement"] == "training") & (frame["replica"] == 0)]
    known = pairs.longest(known[known["status"].isin(["done", "nonfinite"])])
    rates = known["learning_rate"].nunique()
    if rates < 2:
        return ""
    apart = [name for name in pairs.POINT if name != "learning_rate"]
    telling = pairs.varying(known, [name for name in apart if name != "sequence_length"])
    said = []
    for named, group in pairs.groups(known, apart):
        where = f"{pairs.describe(named, telling)} · T={named['sequence_length']:,}"
        said.append(f"{where}: {listed(_lost(group)) or 'none'}")
    return f" Diverged over {rates} learning rates: {'; '.join(said)}."


def _lost(group: pd.DataFrame) -> list[str]:
    """Return "native 25 % [5, 70]" of everyone who diverged at all."""
    said = []
    for name in pairs.series_order(group):
        mine = group[group["implementation"] == name]
        lost = int((mine["status"] == "nonfinite").sum())
        if lost:
            share = stats.wilson(lost, len(mine))
            said.append(f"{name} {SHARE.interval(share.estimate, share.low, share.high)}")
    return said


def learned(known: pd.DataFrame, series: tuple[str, ...]) -> str:
    """Return in words who ends better than the trivial predictor, and in how many trials."""
    scored = known[known["final_score"].notna() & known["trivial_score"].notna()]
    if scored.empty:
        return ""
    sign = scored["score_better"].map({"higher": 1.0, "lower": -1.0})
    better = scored[sign * (scored["final_score"] - scored["trivial_score"]) > 0]
    solved = scored[sign * (scored["final_score"] - scored["solved_score"]) >= 0]
    return (
        f"On the held-out batches {len(better) or 'none'} of {len(scored)} training trials end"
        f" better than the trivial predictor{_who(better, series)}; {len(solved) or 'none'}"
        f" solve{'' if len(solved) > 1 else 's'} the task{_who(solved, series)}."
    )


def _who(some: pd.DataFrame, series: tuple[str, ...]) -> str:
    """Return " (native 2 and truncated 6)"; nothing where there is nobody."""
    counts: Mapping[object, int] = some["implementation"].value_counts().to_dict()
    named = [f"{name} {counts[name]}" for name in series if counts.get(name)]
    return f" ({listed(named)})" if named else ""
