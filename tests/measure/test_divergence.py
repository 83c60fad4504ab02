"""The first number that is not finite is found: where it was put, and where a formula says."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from problems import batch_of, model_of
from rigs import rig_of

from harness.contract import Batch, Carry, Gradient, Hook
from harness.measure.divergence import broken_step, first_bad, origin
from harness.measure.training import Diverged, measure
from harness.model import Model
from harness.trial import Choice
from implementations.gradients.full_bptt import FullBPTT

SHORT = {"sequences": 20, "evaluations": 4, "evaluation_sequences": 8, "evaluation_batches": 1}
FINITE, BROKEN = torch.tensor(1.0), torch.tensor(math.inf)


def spoiled(step: int) -> Batch:
    """A batch of 9 steps, in which the input of one is no number."""
    batch = batch_of(9)
    batch.inputs[step] = math.nan
    return batch


@pytest.mark.parametrize("step", [0, 4, 8])
def test_the_step_is_the_one_that_was_spoiled(step: int) -> None:
    assert broken_step(model_of(), spoiled(step)) == step


def test_a_finite_sequence_has_no_such_step() -> None:
    assert broken_step(model_of(), batch_of(9)) is None


def test_the_step_is_where_the_squared_error_overflows() -> None:
    cell = Choice("irnn", {"scale": 1e3})  # h grows a thousandfold a step
    rig = rig_of("training", cell=cell, protocol=SHORT)
    double, batch = rig.in_float64().model, rig.in_float64().batch()
    with torch.no_grad():
        hidden, _ = double.roll(batch.inputs, double.initial_state(4))
        error = double.task.loss(double.readout(hidden), batch.targets)  # (T, B)
    want = int((error > torch.finfo(torch.float32).max).any(1).int().argmax())
    assert 0 < want < 23
    with pytest.raises(Diverged, match=f"first in update 0: step {want} of the forward") as caught:
        measure(rig)
    values = caught.value.values
    assert (values["first_nonfinite_update"], values["first_nonfinite_step"]) == (0, want)
    assert values["stop_reason"] == "not finite"


@dataclass
class Overflowing(FullBPTT):
    """Full BPTT until its fourth gradient, which is not finite; the loss is."""

    made: int = 0

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        found, carry = super().gradient(model, window, carry, hook)
        self.made += 1
        if self.made == 4:
            found.params["readout.bias"].fill_(math.inf)
        return found, carry


def test_where_the_forward_pass_is_finite_it_is_the_gradient() -> None:
    rig = replace(rig_of("training", protocol=SHORT), method=Overflowing())
    with pytest.raises(Diverged, match="first in update 3: none in the forward pass") as caught:
        measure(rig)
    values = caught.value.values
    assert (values["first_nonfinite_update"], values["first_nonfinite_step"]) == (3, None)
    assert values["nonfinite_updates"] == 2  # and the one after, from parameters that it spoiled


def test_a_skipped_update_is_told_though_training_goes_on() -> None:
    rig = rig_of("training", clips=(Choice("skip_nonfinite"),), protocol=SHORT)
    values = measure(replace(rig, method=Overflowing()))
    assert values["first_nonfinite_place"] == "none in the forward pass: the gradient"
    assert (values["first_nonfinite_update"], values["nonfinite_updates"]) == (3, 1)


def test_a_training_that_stays_finite_has_no_such_place() -> None:
    values = measure(rig_of("training", protocol=SHORT))
    found = {values[f"first_nonfinite_{name}"] for name in ("update", "step", "place")}
    assert found == {None}


def test_a_window_whose_parameters_had_moved_is_told_by_its_steps() -> None:
    found = origin(model_of(), batch_of(9), 5, (4, 8), BROKEN)
    assert (found.step, found.update) == (None, 5)
    assert found.place.startswith("steps 4 to 7, by a state or parameters that")
    elsewhere = origin(model_of(), spoiled(2), 5, (4, 8), BROKEN)
    assert elsewhere.step is None  # the rerun breaks before the window that broke
    assert origin(model_of(), spoiled(6), 5, (4, 8), FINITE).step == 6


def test_the_first_of_two_series_counts() -> None:
    good, nan = FINITE, torch.tensor(math.nan)
    assert first_bad([good, good, nan], [good, nan, good]) == 1
    assert first_bad([good], [good]) is None
