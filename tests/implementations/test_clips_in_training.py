"""Clips inside a trial: memories that live as long as it, and updates that are skipped."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from problems import batch_of, flat, gradient_by, model_of
from rigs import rig_of
from torch import Tensor

from harness.contract import Clip, Gradients
from harness.measure.gradients import method_gradient
from harness.measure.training import Diverged, measure
from harness.registry import Registry
from harness.trial import Choice
from implementations.clips.autoclip import AutoClip
from implementations.clips.skip_nonfinite import SkipNonfinite
from implementations.clips.zclip import ZClip
from implementations.gradients.full_bptt import FullBPTT

REGISTRY = Registry.scan()
CLIPS = {plugin.name for plugin in REGISTRY.of("clips")}
READS_BACK = {"skip_nonfinite"}  # whether the optimizer is stepped at all is decided on the host
STATEFUL = ["autoclip", "zclip", "spam", "noise"]


@pytest.mark.parametrize("name", STATEFUL)
def test_a_clip_with_a_memory_meets_every_update_of_a_training_once(name: str) -> None:
    rig = rig_of("training", clips=(Choice(name),), protocol={"sequences": 6, "evaluations": 1})
    values = measure(rig)
    (clip,) = rig.clips
    met = clip.count if isinstance(clip, ZClip) else clip.updates  # type: ignore[attr-defined]
    assert met == values["updates"] == 6


@pytest.mark.parametrize("name", STATEFUL)
def test_two_trials_do_not_share_a_memory(name: str) -> None:
    short = {"sequences": 6, "evaluations": 1}
    first, again = (
        measure(rig_of("training", clips=(Choice(name),), protocol=short)) for _ in range(2)
    )
    assert first["norm_after"] == again["norm_after"]
    assert first["loss"] == again["loss"]


def test_skipped_updates_count_as_clipped_and_nothing_is_applied() -> None:
    rig = rig_of("training", clips=(Choice("skip_nonfinite"),), protocol={"sequences": 3})
    with torch.no_grad():
        next(rig.model.readout.parameters()).fill_(math.inf)
    with pytest.raises(Diverged) as caught:
        measure(rig)
    values = caught.value.values
    assert values["nonfinite_updates"] == values["updates"] == 1
    assert values["clipped_fraction"] == 1.0
    assert values["norm_after"] == [0.0]


def test_the_gradients_that_a_skipped_update_applies_are_zeros() -> None:
    class SkipAll(Clip):
        def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
            return {}

    rig = replace(rig_of("gradients", dtype="float64"), clips=(SkipAll(),))
    bare, applied = method_gradient(rig, rig.batch())
    assert applied.keys() == bare.params.keys()
    assert flat(bare.params).any()
    assert not flat(applied).any()


def test_clips_that_follow_a_skipped_update_do_not_remember_it() -> None:
    clips = [SkipNonfinite(), AutoClip()]
    model, batch = model_of(), batch_of(6)
    gradient_by(FullBPTT(), model, batch, tuple(clips))
    with torch.no_grad():
        next(model.readout.parameters()).fill_(math.nan)
    left = gradient_by(FullBPTT(), model, batch, tuple(clips))
    assert not flat(left).any()
    assert clips[1].updates == 1


def thirty_updates_without_values(name: str) -> None:
    """Take a clip past its warm-up on tensors that have a shape and a device, but no numbers."""
    clip = REGISTRY.build("clips", Choice(name))
    grads = {
        "w": torch.ones(4, 3, device="meta"),
        "b": torch.ones(4, device="meta"),
    }
    for t in range(30):
        left = clip.params(grads, grads)
        sent = clip.hidden(t, tuple(grads.values()))
        assert {tensor.device.type for tensor in (*left.values(), *sent)} == {"meta"}


@pytest.mark.parametrize("name", sorted(CLIPS - READS_BACK))
def test_a_clip_reads_nothing_back_from_the_device(name: str) -> None:
    thirty_updates_without_values(name)


@pytest.mark.parametrize("name", sorted(READS_BACK))
def test_only_a_clip_that_has_to_decide_on_the_host_reads_back(name: str) -> None:
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        thirty_updates_without_values(name)
