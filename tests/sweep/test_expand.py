"""A sweep becomes every trial once, in an order that favours no implementation."""

from itertools import groupby

import pytest
from sweeps import REGISTRY, SMALL, sweep_of, trials_of

from harness.registry import DeviceError
from harness.sweep import draft, expand, read, resolved, settle
from harness.trial import Trial

EXCLUDE = '[[exclude]]\ncell = "lstm"\nsequence_length = ">= 16"\nreason = "too slow"\n'


def trials(text: str = SMALL, *sets: str) -> list[Trial]:
    return [each.trial for each in trials_of(text, *sets)]


def test_every_point_meets_every_implementation_in_every_block_once() -> None:
    got = trials(SMALL, "aa_copy=false")
    points, implementations = 2 * 2, 4
    assert len(got) == points * implementations * (2 + 1 + 2 + 2)
    assert len({trial.id for trial in got}) == len(got)


def test_where_time_is_measured_every_block_holds_a_copy_of_the_baseline() -> None:
    copies = [trial for trial in trials() if trial.replica]
    blocks, points = 2, 2 * 2
    assert {(trial.measurement, trial.implementation.label) for trial in copies} == {
        ("speed", "full")
    }
    assert len({trial.id for trial in copies}) == len(copies) == blocks * points


def test_the_copy_changes_no_id_and_leaves_no_trace_where_it_is_off() -> None:
    with_copies, without = trials(), trials(SMALL, "aa_copy=false")
    assert {trial.id for trial in without} == {t.id for t in with_copies if not t.replica}


def test_the_copy_stands_anywhere_in_its_block() -> None:
    timed = [trial for trial in trials(SMALL, "blocks=6") if trial.measurement == "speed"]
    places = {place % 5 for place, trial in enumerate(timed) if trial.replica}
    assert places == {0, 1, 2, 3, 4}


def test_memory_runs_in_the_first_block_alone() -> None:
    assert {trial.block for trial in trials() if trial.measurement == "memory"} == {0}


def test_the_longest_length_is_looked_for_once_from_the_shortest() -> None:
    got = trials(SMALL, 'passes=["capacity"]')
    assert {(trial.sequence_length, trial.block) for trial in got} == {(8, 0)}
    assert len(got) == 2 * 4  # cells and implementations
    assert not any(trial.measurement == "capacity" for trial in trials())


def test_blocks_follow_one_another_and_timing_is_apart_from_the_rest() -> None:
    keys = [(trial.block, trial.measurement != "speed") for trial in trials()]
    assert keys == sorted(keys)


def test_short_sequences_come_first_inside_a_block_and_a_measurement() -> None:
    lengths = [trial.sequence_length for trial in trials(SMALL, 'passes="speed"', "blocks=1")]
    assert lengths == sorted(lengths)


def test_rivals_stand_together_in_an_order_that_differs_between_points_and_blocks() -> None:
    timed = [trial for trial in trials() if trial.measurement == "speed"]
    orders = [
        [trial.implementation.label for trial in group]
        for _, group in groupby(timed, lambda t: (t.block, t.sequence_length, str(t.cell)))
    ]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_the_same_seed_gives_the_same_order_and_another_another() -> None:
    assert trials() == trials()
    first = [(trial.block, trial.implementation.label) for trial in trials()]
    assert first != [(trial.block, trial.implementation.label) for trial in trials(SMALL, "seed=1")]


def test_a_list_inside_a_cell_makes_a_cell_of_each_value() -> None:
    got = trials(SMALL, 'cell={ use = "lstm", forget_bias = [0, 1] }')
    assert {str(trial.cell) for trial in got} == {"lstm(forget_bias=0.0)", "lstm(forget_bias=1.0)"}


def test_a_trial_carries_the_hashes_of_its_plugins_and_of_no_others() -> None:
    trial = next(t for t in trials() if t.implementation.label.startswith("native"))
    want = ["cells/elman", "clips/norm", "gradients/native", "tasks/adding"]
    assert sorted(trial.sources) == want
    clip = REGISTRY.find("clips", "norm")
    assert trial.sources["clips/norm"] == clip.sha256


def test_what_is_excluded_stays_in_the_plan_with_its_reason() -> None:
    planned = trials_of(SMALL + EXCLUDE)
    reasons = {
        (str(each.trial.cell), each.trial.sequence_length): each.skip_reason for each in planned
    }
    assert reasons == {
        ("elman", 8): None,
        ("elman", 16): None,
        ("lstm", 8): None,
        ("lstm", 16): "too slow",
    }


def test_excluding_changes_no_id() -> None:
    assert {t.id for t in trials(SMALL + EXCLUDE)} == {t.id for t in trials()}


def test_auto_is_every_kind_of_device_that_is_there() -> None:
    sweep = sweep_of(SMALL, "device=auto")
    assert settle(sweep, ("cpu", "cuda")).axes.device == ("cpu", "cuda")
    assert settle(sweep, ("cpu",)).axes.device == ("cpu",)


def test_a_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(DeviceError, match='there is no device "cuda" here; there is: cpu'):
        expand(sweep_of(SMALL, "device=cuda"), ("cpu",), REGISTRY)


@pytest.mark.parametrize("copied", ["true", "false"])
def test_a_resolved_sweep_reads_back_to_the_same_trials(copied: str) -> None:
    text = SMALL + EXCLUDE + '[measure.speed]\nmin_samples = 3\n[limits]\nmemory = "1GiB"\n'
    sweep = sweep_of(
        text,
        'description=A "quoted" line, ünïcode',
        "trial_timeout=1.5s",
        "learning_rate=1e-7",
        f"aa_copy={copied}",
    )
    again = read(draft.read(resolved(sweep), "elsewhere/sweep.toml"), REGISTRY)
    assert again.description == 'A "quoted" line, ünïcode'
    assert expand(again, ("cpu",), REGISTRY) == expand(sweep, ("cpu",), REGISTRY)


def test_accelerators_of_several_models_are_several_devices_and_those_of_one_are_not() -> None:
    auto, any_one = sweep_of(SMALL, "device=auto"), sweep_of(SMALL, "device=cuda")
    there = ("cpu", "cuda:A100", "cuda:H100")
    assert settle(auto, there).axes.device == there
    assert settle(auto, ("cpu", "cuda:H100")).axes.device == ("cpu", "cuda")
    assert settle(any_one, there).axes.device == ("cuda",)
    assert settle(sweep_of(SMALL, "device=cuda:H100"), there).axes.device == ("cuda:H100",)
    with pytest.raises(DeviceError, match='no device "cuda:H100" here; there is: cpu, cuda:A100'):
        settle(sweep_of(SMALL, "device=cuda:H100"), ("cpu", "cuda:A100"))
