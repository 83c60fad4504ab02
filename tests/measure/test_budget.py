"""A training ends by the budget that is used up first, and the record says by which."""

import math
from dataclasses import dataclass, replace

import pytest
from rigs import rig_of

from harness.contract import Cost, Shape
from harness.measure.budget import Budget
from harness.measure.training import measure
from harness.rig import Skipped
from harness.trial import TrainingProtocol
from implementations.gradients.full_bptt import FullBPTT

SHORT = {"sequences": 20, "evaluations": 4, "evaluation_sequences": 8, "evaluation_batches": 1}
WINDOWS = {"stride": 8, "depth": 8}  # three in 24 steps
NOTHING = {"sequences": 0, "updates": 0, "seconds": 0.0, "flops": 0.0}


def test_without_a_budget_training_runs_its_sequences_as_it_always_did() -> None:
    values = measure(rig_of("training", protocol=SHORT))
    assert values["stop_reason"] == "20 sequences"
    assert values["evaluated_at"] == [0, 5, 10, 15, 20]


def test_a_budget_of_updates_ends_with_the_sequence_that_reaches_it() -> None:
    protocol = {**SHORT, "budget_updates": 10}
    full, truncated = (
        measure(rig_of("training", name, params=params, protocol=protocol))
        for name, params in (("full_bptt", {}), ("truncated_bptt", WINDOWS))
    )
    assert (full["sequences"], full["updates"], full["stop_reason"]) == (10, 10, "10 updates")
    assert (truncated["sequences"], truncated["updates"]) == (4, 12)  # three more a sequence


def test_a_budget_of_flops_is_counted_by_the_methods_own_formula() -> None:
    rig = rig_of("training", "checkpointed", protocol=SHORT)
    theory = rig.theory()
    assert theory is not None
    protocol = {**SHORT, "budget_flops": 6.5 * theory.flops}
    values = measure(rig_of("training", "checkpointed", protocol=protocol))
    assert values["flops_per_sequence"] == theory.flops
    assert values["sequences"] == 7  # the first whole number from 6.5 on
    assert values["stop_reason"].endswith(" FLOPs")
    plain = measure(rig_of("training", protocol=protocol))
    assert plain["sequences"] > 7  # full BPTT does not run forward twice


@dataclass
class Unpriced(FullBPTT):
    def cost(self, shape: Shape) -> Cost | None:
        return None


def test_a_method_without_a_formula_is_refused_a_budget_of_flops_alone() -> None:
    rig = rig_of("training", protocol={**SHORT, "budget_flops": 1e9})
    with pytest.raises(Skipped, match="needs a method that says its own, and full_bptt does not"):
        measure(replace(rig, method=Unpriced()))
    plain = measure(replace(rig_of("training", protocol=SHORT), method=Unpriced()))
    assert plain["flops_per_sequence"] is None


def test_a_budget_of_seconds_counts_training_and_not_scoring() -> None:
    protocol = {**SHORT, "sequences": 10**6, "budget_seconds": 0.05}
    values = measure(rig_of("training", protocol=protocol))
    assert values["stop_reason"] == "0.05 s"
    assert values["seconds"][-1] >= 0.05
    assert values["seconds"][-2] < 0.05  # the budget was not used up one sequence before
    assert len(values["evaluated_at"]) <= SHORT["evaluations"] + 1


@pytest.mark.parametrize(
    ("spent", "due", "reached"),
    [
        ({}, 0, None),
        ({"sequences": 49}, 1, None),
        ({"sequences": 49, "flops": 9.9}, 3, None),  # the budget that is furthest along counts
        ({"sequences": 49, "flops": 10.0}, 4, "10 FLOPs"),
        ({"sequences": 100}, 4, "100 sequences"),
        ({"seconds": 1e9}, 0, None),  # of which there is no budget
    ],
)
def test_evaluations_are_spread_over_the_budget_that_is_used_up_first(
    spent: dict[str, float], due: int, reached: str | None
) -> None:
    budget = Budget.of(TrainingProtocol(sequences=100, budget_flops=10.0))
    assert budget.due(NOTHING | spent, 4) == due
    assert budget.reached(NOTHING | spent) == reached


def test_a_budget_just_short_of_its_end_is_not_at_its_last_evaluation() -> None:
    budget = Budget.of(TrainingProtocol(sequences=10**9, budget_flops=0.1))
    assert budget.due(NOTHING | {"flops": math.nextafter(0.1, 0.0)}, 10) == 9
