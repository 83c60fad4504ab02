"""Every method's theory of its matrix products, against torch's own count of them."""

from typing import Any

import pytest
from rigs import rig_of
from torch.utils.flop_counter import FlopCounterMode

from harness.trial import Choice

CASES = [
    ("full_bptt", {}),
    ("truncated_bptt", {"stride": 16, "depth": 16}),
    ("truncated_bptt", {"stride": 4, "depth": 16}),
    ("truncated_bptt", {"stride": 5, "depth": 12}),
    ("checkpointed", {"segment": 16}),
    ("spatial", {}),
    ("time_batched", {}),
    ("h_only", {"chunk": 32}),
    ("compiled", {}),
    ("artbp", {"mean_length": 32.0}),
    ("dni", {"stride": 16}),
    ("scan_backward", {}),
    ("scan_backward", {"jacobian_bytes": 20_000}),
    ("rtrl", {}),
    ("snap1", {}),
    ("snap", {"order": 2}),
    ("eprop", {}),
    ("uoro", {}),
    ("kf_rtrl", {}),
    ("ok", {"rank": 2}),
    ("forward_gradient", {}),
    ("output_only", {}),
    ("random_gradient", {}),
]


@pytest.mark.parametrize("task", ["adding", "copy"])
@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
@pytest.mark.parametrize(("gradient", "params"), CASES, ids=str)
def test_flops_are_those_that_torch_counts(
    gradient: str, params: dict[str, Any], cell: str, task: str
) -> None:
    settings = {"cell": Choice(cell), "task": Choice(task), "sequence_length": 80}
    rig = rig_of("speed", gradient, params=params, **settings)
    batch, drive = rig.batch(), rig.drive()
    with FlopCounterMode(display=False) as counter:
        drive.sequence(batch, drive.begin(rig.trial.batch_size, rig.generator("method")))
    theory = rig.theory()
    assert theory is not None
    # A window's first step has no dL/dh to send back: up to one product in six of 1/depth steps.
    assert theory.flops == pytest.approx(counter.get_total_flops(), rel=0.035)
