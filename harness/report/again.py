"""How to measure a results folder again: the code as it was, its versions, the command."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.report.sentences import listed
from harness.trial import Record

COMMIT = re.compile(r"[0-9a-f]{7,64}")  # all else is not for a shell
INSTALL = "pip install -c constraints.txt -e ."


def commands(records: Sequence[Record], command: str) -> str:
    """Return the lines for a shell, in the project's folder; empty where no command is known."""
    if not command:
        return ""
    checkout = [f"git checkout {commit}" for commit in _commits(records)[-1:]]
    return "\n".join([*checkout, INSTALL, command])


def caveat(records: Sequence[Record]) -> str:
    """Return why these lines may not give the same code; empty where they do."""
    commits = _commits(records)
    dirty = any(record.environment.get("dirty") for record in records)
    found = [
        f"The records are of {len(commits)} commits ({listed(commits)}); the last is checked out."
        if len(commits) > 1
        else "",
        "No record names its commit." if records and not commits else "",
        "The code had changes that no commit holds: the checkout lacks them." if dirty else "",
    ]
    return " ".join(sentence for sentence in found if sentence)


def _commits(records: Sequence[Record]) -> list[str]:
    """Return the commits in the order in which their last records ended."""
    ended = sorted(records, key=lambda record: record.ended)
    named = [str(record.environment.get("commit") or "") for record in reversed(ended)]
    return list(dict.fromkeys(commit for commit in named if COMMIT.fullmatch(commit)))[::-1]
