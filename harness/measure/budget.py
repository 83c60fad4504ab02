"""When a training ends: with the sequence by which the first of its budgets is used up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.trial import TrainingProtocol

Amounts = Mapping[str, float | int]  # by the names of WORDS
WORDS: Mapping[str, str] = {  # what is spent, and how an amount of it is said
    "sequences": "{:,} sequences",
    "updates": "{:,} updates",
    "seconds": "{:g} s",
    "flops": "{:g} FLOPs",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """So much of what a training may spend; whatever has no limit is not named."""

    limits: Amounts

    @classmethod
    def of(cls, protocol: TrainingProtocol) -> Budget:
        """Return the budget that a trial's protocol asks for."""
        asked = {
            "sequences": protocol.sequences,
            "updates": protocol.budget_updates,
            "seconds": protocol.budget_seconds,
            "flops": protocol.budget_flops,
        }
        return cls({name: limit for name, limit in asked.items() if limit is not None})

    def reached(self, spent: Amounts) -> str | None:
        """Return what is used up, as "30 s"; None: nothing is."""
        for name, limit in self.limits.items():
            if spent[name] >= limit:
                return WORDS[name].format(limit)
        return None

    def due(self, spent: Amounts, evaluations: int) -> int:
        """Return how many of so many evaluations, evenly spread over the budget, are due."""
        if self.reached(spent):
            return evaluations
        return max(int(evaluations * spent[name] // limit) for name, limit in self.limits.items())
