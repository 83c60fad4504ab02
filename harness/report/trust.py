"""Did it work, can I trust it: what ran, what failed and why, and on which machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.report import pairs
from harness.report.columns import Column, Table, word
from harness.report.sentences import BLOCKS_FOR_A_VERDICT, listed
from harness.report.units import BYTES, COUNT, MISSING, SHARE
from harness.trial import STATUSES, Record

COMMIT_DIGITS = 10
NOISY = 0.1  # a trial whose median is known no better than this is worth a warning


@dataclass(frozen=True, slots=True)
class Trust:
    """The header: facts in words, each with its heading, and what a reader must beware of."""

    facts: tuple[tuple[str, str], ...]
    machines: tuple[str, ...]
    warnings: tuple[str, ...]


def trust(frame: pd.DataFrame, records: Sequence[Record], unreadable_lines: int) -> Trust:
    """Return what a reader should know before believing any number."""
    counts = Counter(frame["status"])
    noise = frame["noise"].dropna()
    failed = [_count(frame, name) for name in STATUSES if counts[name] and name != "done"]
    spread = (
        f"median {SHARE.text(noise.median())}, worst {SHARE.text(noise.max())}"
        if len(noise)
        else MISSING
    )
    facts = (
        ("measured", f"{counts['done']:,} of {len(frame):,} trials"),
        ("not measured", ", ".join(failed) or "none"),
        ("blocks", _blocks_text(frame)),
        ("noise of a time", spread),
        ("gradients", _gradients_text(frame)),
    )
    return Trust(facts, machines(records), _warnings(frame, records, unreadable_lines))


def _count(frame: pd.DataFrame, status: str) -> str:
    """Return "12 oom", and how many of them others imply: those are no observations."""
    known = frame[frame["status"] == status]
    implied = int((known["implied_by"] != "").sum())
    return f"{len(known)} {status}" + (f" ({implied} of them implied)" if implied else "")


def machines(records: Sequence[Record]) -> tuple[str, ...]:
    """Return one line a machine, of its hardware and versions."""
    lines = {_machine(record) for record in records if record.environment}
    return tuple(sorted(lines, key=pairs.natural))


def failures(frame: pd.DataFrame) -> Table:
    """Return what did not run, by cause, with what to do about it."""
    known = frame[frame["status"] != "done"]
    rows = []
    for (status, reason, advice), group in known.groupby(["status", "reason", "advice"]):
        ordered = group.sort_values([*pairs.POINT, "implementation", "block"])
        first = {str(name): value for name, value in ordered.iloc[0].items()}
        where = pairs.describe(first, [*pairs.varying(frame), "sequence_length"])
        rows.append(
            {"status": status, "reason": reason, "advice": advice, "trials": len(group)}
            | {"id": first["id"], "example": f"{first['implementation']} · {where}"}
        )
    data = pd.DataFrame(rows, columns=["status", "trials", "reason", "advice", "example", "id"])
    data = data.sort_values(["status", "trials", "reason"], ascending=[True, False, True])
    columns = (
        word("status"),
        Column("trials", lambda row: COUNT.text(row["trials"])),
        word("reason"),
        word("advice", "what to do"),
        word("example"),
        Column("look closer", lambda row: f"bptt show {row['id']}", numeric=False),
    )
    note = "Every trial that is not done is counted here; none is left out of the totals." + (
        " What is implied was not run: another trial, as long or shorter, ran out of memory."
        if (known["implied_by"] != "").any()
        else ""
    )
    return Table("failures", "What did not run, and what helps?", note, data, columns)


def blocks_of(frame: pd.DataFrame) -> int:
    """Return how many blocks the speed comparison rests on; of any measurement without one."""
    timed = frame[frame["measurement"] == "speed"]
    return int((timed if len(timed) else frame)["block"].nunique())


def _blocks_text(frame: pd.DataFrame) -> str:
    blocks = blocks_of(frame)
    few = f", and a verdict needs {BLOCKS_FOR_A_VERDICT}" if blocks < BLOCKS_FOR_A_VERDICT else ""
    return f"{blocks}{few}"


def _gradients_text(frame: pd.DataFrame) -> str:
    known = frame["agrees"].dropna()
    wrong = int((known == False).sum())  # noqa: E712  # elementwise, over objects
    if not len(known):
        return "none compared with the oracle"
    return f"{wrong} of {len(known)} DISAGREE with the oracle" if wrong else f"{len(known)} agree"


def _machine(record: Record) -> str:
    known = record.environment
    memory = known.get("memory_bytes")
    parts = [
        record.node or known.get("host"),
        known.get("cpu_model"),
        f"{known['cores']} cores" if known.get("cores") else None,
        BYTES.text(memory) if memory else None,
        known.get("gpu"),
        f"Python {known.get('python')}, torch {known.get('torch')}",
        f"commit {str(known['commit'])[:COMMIT_DIGITS]}" if known.get("commit") else None,
    ]
    return ", ".join(str(part) for part in parts if part)


def _warnings(
    frame: pd.DataFrame, records: Sequence[Record], unreadable_lines: int
) -> tuple[str, ...]:
    nodes = sorted(set(frame["node"]) - {""})
    wrong = sorted(set(frame.loc[frame["agrees"].isin([False]), "implementation"]))
    noisy = int((frame["noise"] > NOISY).sum())
    timed = int(frame["noise"].notna().sum())
    dirty = any(record.environment.get("dirty") for record in records)
    found = [
        f"{listed(wrong)}: the gradient disagrees with the oracle." if wrong else "",
        f"Records of {len(nodes)} machines ({listed(nodes)}) stand side by side; none are pooled."
        if len(nodes) > 1
        else "",
        f"{noisy} of {timed} times are known no better than {SHARE.text(NOISY)}: a busy machine?"
        if noisy
        else "",
        f"{unreadable_lines} lines of the journal could not be read and are left out."
        if unreadable_lines
        else "",
        "The code had changes that no commit holds." if dirty else "",
        "No implementation is marked baseline, so there are no ratios."
        if len(frame) and not frame["baseline"].any()
        else "",
    ]
    return tuple(warning for warning in found if warning)
