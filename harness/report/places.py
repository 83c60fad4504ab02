"""Which nodes are one machine to a reader: those that are alike, where blocks are spread over them.

A ratio of times is formed inside a block, on one node; pooled over blocks it may come from several
nodes of one kind, whose differences are then part of its interval. What was timed of a block that
was split, as its node was lost, stays with the nodes that timed it. A record that tells of no
machine, as nothing ran for it, is where others of its node are; one without a node, where all
others of its device are, if that is one place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from harness.trial import Record

ALIKE = ("cpu_model", "gpu", "torch")  # of a record's environment


def places(records: Sequence[Record]) -> list[str]:
    """Return each record's place: its node, or "node-1 and 2 alike"."""
    ran = [record for record in records if record.environment]
    kinds = {_where(record): _kind(record) for record in ran}
    for device in {record.trial.device for record in ran}:
        known = {_kind(record) for record in ran if record.trial.device == device}
        if len(known) == 1:
            kinds[device, ""] = known.pop()  # where a record without a node can only be

    def kind_of(record: Record) -> Hashable:
        return _kind(record) if record.environment else kinds.get(_where(record))

    alike: dict[Hashable, set[str]] = defaultdict(set)
    timed: dict[Hashable, set[str]] = defaultdict(set)
    for record in ran:
        alike[_kind(record)].add(record.node)
        if record.trial.measurement == "speed":
            timed[_unit(record)].add(record.node)
    return [
        record.node
        if record.trial.measurement == "speed" and len(timed[_unit(record)]) > 1
        else _name(sorted(alike.get(kind, {record.node})))
        for record, kind in zip(records, map(kind_of, records), strict=True)
    ]


def _where(record: Record) -> Hashable:
    return record.trial.device, record.node


def _kind(record: Record) -> Hashable:
    return record.trial.device, *(record.environment.get(name) for name in ALIKE)


def _unit(record: Record) -> Hashable:
    """Return what is timed on one node, one trial after the other."""
    one = record.trial
    model = (str(one.cell), str(one.task), one.hidden_size, one.batch_size, one.learning_rate)
    return one.block, one.device, one.dtype, one.threads, one.update, one.optimizer, *model


def _name(nodes: list[str]) -> str:
    return nodes[0] if len(nodes) == 1 else f"{nodes[0]} and {len(nodes) - 1} alike"
