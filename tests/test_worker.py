"""Whatever happens to a trial, the worker returns its record."""

import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from rigs import room_for, trial_of

from harness import environment
from harness.trial import Choice, Limits, Record, Trial
from harness.worker import _size, run, run_json

LIMIT = 64 * 2**20
SHORT = {"sequences": 4, "evaluations": 1, "evaluation_sequences": 8, "evaluation_batches": 1}

BROKEN = '''"""A method that fails. It is for a test."""
from dataclasses import dataclass
from harness.contract import GradientMethod

@dataclass
class Broken(GradientMethod):
    """Fails."""

    def gradient(self, model, window, carry, hook=None):
        {body}
'''

GREEDY = (
    (
        BROKEN.replace("Broken", "Greedy")
        .replace("{body}", "raise MemoryError()")
        .replace("import GradientMethod", "import Cost, GradientMethod")
    )
    + """
    def cost(self, shape):
        return Cost(flops=1.0, kept_bytes=3.0 * 2**30, sequential_depth=1)
"""
)


def broken_trial(tmp_path: Path, body: str) -> Trial:
    file = tmp_path / "broken.py"
    file.write_text(BROKEN.format(body=body))
    return trial_of("training", "broken", protocol=SHORT, plugins=(str(file),))


def test_a_trial_that_ends_well_is_done_with_its_values_and_the_machine() -> None:
    record = run(trial_of("memory"))
    assert (record.status, record.reason) == ("done", "")
    assert record.values["peak_bytes"] > 0
    assert record.environment["torch"]
    assert record.started < record.ended


def test_denormal_numbers_cost_no_trial_anything_and_its_record_says_so() -> None:
    assert torch.set_flush_denormal(False)
    assert environment.describe()["flushes_denormals"] is False
    try:
        assert run(trial_of("memory")).environment["flushes_denormals"] is True
    finally:
        torch.set_flush_denormal(False)


def test_a_record_survives_json() -> None:
    trial = trial_of("training", clips=(Choice("norm", {"max_norm": 1.0}),), protocol=SHORT)
    data = json.loads(json.dumps(run_json(json.loads(json.dumps(trial.to_json())))))
    record = Record.from_json(data)
    assert record.trial == trial
    assert data["id"] == trial.id
    assert record.status == "done"


def test_a_clip_of_hidden_gradients_on_a_method_that_shows_none_is_skipped_with_a_sentence() -> (
    None
):
    record = run(trial_of("speed", "native", (Choice("hidden", {"max_norm": 1.0}),)))
    assert record.status == "skipped"
    assert "Hidden clips dL/ds at every step, which Native does not show" in record.reason


def test_a_length_the_task_cannot_have_is_skipped_with_its_sentence() -> None:
    record = run(trial_of("memory", task=Choice("copy"), sequence_length=5))
    assert record.status == "skipped"
    assert "copy" in record.reason


def test_divergence_is_a_result_with_the_curve_until_then() -> None:
    record = run(trial_of("training", optimizer="sgd", learning_rate=1e30, protocol=SHORT))
    assert record.status == "nonfinite"
    assert "norm" in record.advice
    assert len(record.values["loss"]) >= 1


@pytest.mark.parametrize(
    ("body", "asked", "said"),
    [
        ("raise MemoryError()", None, "an allocation failed, "),
        ("import torch; torch.empty(2**42, dtype=torch.uint8)", 2**42, "asked for 4096 GiB, "),
    ],
    ids=["Python's", "torch's"],
)
def test_memory_that_is_not_there_is_oom_and_says_what_was_asked_and_free(
    tmp_path: Path, body: str, asked: int | None, said: str
) -> None:
    record = run(broken_trial(tmp_path, body))
    assert record.status == "oom"
    assert record.reason.startswith(said)
    assert record.reason.endswith("iB were free")  # the plugin has no formula
    assert record.values["asked_bytes"] == asked
    assert 0 < record.values["free_bytes"] < psutil.virtual_memory().total
    assert (record.values["short_of"], record.values["limit_bytes"]) == ("node", None)
    assert "[limits]" in record.advice
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("limited", [True, False], ids=["a limit of its own", "none"])
def test_a_lack_of_memory_says_whether_the_trials_own_limit_was_reached(
    tmp_path: Path, limited: bool
) -> None:
    trial = broken_trial(tmp_path, "import torch; torch.empty(2**28, dtype=torch.uint8)")
    with room_for(LIMIT):
        record = run(replace(trial, limits=Limits(memory_bytes=LIMIT if limited else None)))
    assert record.status == "oom"
    assert record.values["free_bytes"] < record.values["asked_bytes"] == 2**28
    # What a node has free as a trial begins is its limit too, and says nothing of other times.
    assert record.values["short_of"] == ("limit" if limited else "node")
    assert ("of its limit of 64 MiB were free" in record.reason) == limited


@pytest.mark.parametrize(
    ("gradient", "steady"), [("full_bptt", True), ("artbp", False)], ids=["steady", "drawn"]
)
def test_a_lack_of_memory_says_whether_other_draws_would_need_as_much(
    gradient: str, steady: bool
) -> None:
    with room_for(LIMIT):
        record = run(trial_of("memory", gradient, batch_size=2**16, sequence_length=200))
    assert (record.status, record.values["steady"]) == ("oom", steady)


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "0 bytes"), (32 * 2**10, "32 KiB"), (1.5 * 2**30, "1.5 GiB"), (2**50, "1048576 GiB")],
)
def test_a_size_is_rounded_to_two_digits_and_bytes_are_whole(amount: float, said: str) -> None:
    assert _size(amount) == said


def test_what_theory_says_of_a_sequence_stands_beside_the_lack_of_memory(tmp_path: Path) -> None:
    file = tmp_path / "greedy.py"
    file.write_text(GREEDY)
    record = run(trial_of("training", "greedy", protocol=SHORT, plugins=(str(file),)))
    assert record.reason.endswith("; theory: 3.0 GiB kept for backward")
    assert record.values["theory"]["kept_bytes"] == 3 * 2**30


def test_a_bug_is_a_failure_that_names_its_line(tmp_path: Path) -> None:
    record = run(broken_trial(tmp_path, "return 1 / 0"))
    assert record.status == "failed"
    assert "ZeroDivisionError" in record.reason
    assert "broken.py" in record.reason


@pytest.mark.skipif(torch.accelerator.is_available(), reason="here it can be used")
def test_a_device_that_a_node_claims_but_cannot_use_is_a_record_that_says_so() -> None:
    record = run(trial_of("memory", device="cuda:H100"))
    assert record.status == "failed"
    claim = (
        f"the node claims a device 'cuda:H100', which torch {torch.__version__} there cannot use"
    )
    assert record.reason.startswith(f"{claim}: ")
    assert "leave the device out" in record.advice
