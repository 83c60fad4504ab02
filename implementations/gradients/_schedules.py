"""Which steps to keep so that the fewest run again: optimal schedules for a budget of slots.

With t steps and m slots, the next step to keep is the y-th:

    states:     C(t, m) = min_y y + C(t − y, m − 1) + C(y, m),      C(t, 1) = t (t + 1) / 2
    internals:  D(t, m) = min_y y + D(t − y, m − 1) + D(y − 1, m),  D(t, 1) = t (t + 1) / 2

All are convex in t, so the best y of t + 1 steps is that of t or the next: O(t m) in all.

Source: Griewank and Walther (2000), Algorithm 799: revolve; Gruslys et al. (2016),
Memory-efficient backpropagation through time.
"""

from dataclasses import dataclass
from functools import lru_cache

SCHEDULES = 16  # lengths and budgets remembered; a trial has one or two


@dataclass(frozen=True, slots=True)
class Schedule:
    """The best first step to keep, and what it leads to, for every t and m up to a budget."""

    steps: tuple[tuple[int, ...], ...]  # [m - 1][t] -> y
    costs: tuple[tuple[int, ...], ...]  # [m - 1][t] -> steps forward

    def next_kept(self, length: int, slots: int) -> int:
        """Return y: how many steps to go before the next is kept."""
        return self.steps[min(slots, len(self.steps)) - 1][length]

    def forward_steps(self, length: int) -> int:
        """Return how many steps run forward with the whole budget."""
        return self.costs[-1][length]


@lru_cache(SCHEDULES)
def of_states(length: int, slots: int) -> Schedule:
    """Return the schedule for slots that hold a state; the first state takes one of them."""
    # The right part has a step at least: a state after the last is of no use.
    return _schedule(length, slots, covered=0, spare=1)


@lru_cache(SCHEDULES)
def of_internals(length: int, slots: int) -> Schedule:
    """Return the schedule for slots that hold what one step's backward needs."""
    return _schedule(length, slots, covered=1, spare=0)


def _schedule(length: int, slots: int, covered: int, spare: int) -> Schedule:
    """Return the tables; a kept step covers `covered` steps of the left part by itself."""
    costs = [[t * (t + 1) // 2 for t in range(length + 1)]]
    steps = [list(range(length + 1))]
    for _ in range(min(slots, length) - 1):
        fewer, cost, step = costs[-1], [0, 1], [0, 1]
        for t in range(2, length + 1):
            y = step[-1]
            same = y + fewer[t - y] + cost[y - covered]
            z = min(y + 1, t - spare)
            moved = z + fewer[t - z] + cost[z - covered]
            step.append(z if moved < same else y)
            cost.append(min(same, moved))
        costs.append(cost)
        steps.append(step)
    return Schedule(tuple(map(tuple, steps)), tuple(map(tuple, costs)))
