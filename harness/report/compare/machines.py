"""Whether two runs were made on the same machines, and what differs where they were not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.report.pairs import natural
from harness.report.units import BYTES
from harness.trial import Record

FACTS: Mapping[str, str] = MappingProxyType(  # of a record's environment -> in words
    {
        "cpu_model": "processor",
        "cores": "cores",
        "memory_bytes": "memory",
        "gpu": "GPU",
        "platform": "system",
        "governor": "governor",
        "python": "Python",
        "torch": "torch",
        "numpy": "numpy",
        "blas": "BLAS",
        "cuda": "CUDA",
        "flushes_denormals": "flushes denormals",
        "variables": "variables",
    }
)
Facts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in both runs."""

    what: str
    base: str
    new: str

    def __str__(self) -> str:
        return f"{self.what}: {self.base} in BASE, {self.new} in NEW"


def facts_by_node(records: Sequence[Record]) -> dict[str, Facts]:
    """Return what every node is, by its name; several values where it changed under the run."""
    seen: dict[str, dict[str, set[str]]] = {}
    for record in records:
        if not record.environment:
            continue
        of_node = seen.setdefault(record.node, {fact: set() for fact in FACTS})
        for fact in FACTS:
            of_node[fact].add(_text(fact, record.environment.get(fact)))
    return {
        node: {fact: _joined(values) for fact, values in facts.items()}
        for node, facts in seen.items()
    }


def same(base: Mapping[str, Facts], new: Mapping[str, Facts]) -> frozenset[str]:
    """Return the nodes that are the same machine, with the same versions, in both runs."""
    return frozenset(node for node in base.keys() & new.keys() if base[node] == new[node])


def differences(base: Mapping[str, Facts], new: Mapping[str, Facts]) -> tuple[Difference, ...]:
    """Return what tells the machines of the two runs apart: their names, then what they are."""
    if not base or not new or base == new:
        return ()
    names = Difference("node", _joined(set(base)), _joined(set(new)))
    found = [names] if base.keys() != new.keys() else []
    for fact, word in FACTS.items():
        old, now = (_joined({facts[fact] for facts in nodes.values()}) for nodes in (base, new))
        if old != now:
            found.append(Difference(word, old, now))
    return tuple(found)


def _joined(values: set[str]) -> str:
    return " / ".join(sorted(values, key=natural))


def _text(fact: str, value: object) -> str:
    if fact == "memory_bytes" and isinstance(value, int | float):
        return BYTES.text(value)
    if isinstance(value, Mapping):
        return " ".join(f"{name}={one}" for name, one in sorted(value.items())) or "none"
    return "unknown" if value is None else str(value)
