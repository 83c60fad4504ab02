"""Training as recorded: what the clip did, what diverged, what repeats."""

import math

import pytest
import torch
from rigs import rig_of

from harness.measure import clipping, gradients
from harness.measure.clipping import Counted, clipped_fraction, clipped_norm_ratio
from harness.measure.training import Diverged, measure, spikes
from harness.trial import Choice
from implementations.clips.value import Value

SHORT = {"sequences": 20, "evaluations": 4, "evaluation_sequences": 8, "evaluation_batches": 1}


def test_training_lowers_the_loss_and_records_every_update() -> None:
    values = measure(rig_of("training", protocol={**SHORT, "sequences": 100}))
    assert values["loss"][-1] < values["loss"][0]
    assert values["updates"] == 100
    assert values["evaluated_at"] == [0, 25, 50, 75, 100]
    assert values["trivial_score"] == pytest.approx(1 / 6)
    assert values["clipped_fraction"] is None


def test_a_constant_predictor_scores_near_the_trivial_score_on_the_validation_batch() -> None:
    rig = rig_of("training")
    batch = rig.batch(0, "valid", 4096)
    constant = torch.ones(*batch.inputs.shape[:2], 1)
    # 4,096 squared errors of standard deviation 0.2: within 0.01 at odds of a thousand to one
    assert rig.task.score(constant, batch) == pytest.approx(1 / 6, abs=0.01)


def test_truncation_updates_once_a_window() -> None:
    params = {"stride": 8, "depth": 8}
    values = measure(rig_of("training", "truncated_bptt", params=params, protocol=SHORT))
    assert values["updates"] == 20 * 3


def test_a_spike_stands_out_of_the_median_as_often_as_it_happens() -> None:
    norms = torch.ones(2000).double()
    norms[7] = 40.0  # one update in 2,000: the largest, and beyond what 99.9 % stay below
    assert spikes(norms) == {"spike_max": 40.0, "spike_999": 1.0}
    norms[:100] = 40.0
    assert spikes(2 * norms) == {"spike_max": 40.0, "spike_999": 40.0}
    assert set(spikes(torch.zeros(3)).values()) == set(spikes(norms[:0]).values()) == {None}


def test_the_trained_model_has_a_lyapunov_exponent_and_a_frozen_one_the_fresh_models() -> None:
    trained = measure(rig_of("training", protocol=SHORT, learning_rate=0.1))
    frozen = measure(rig_of("training", protocol=SHORT, learning_rate=1e-12))
    fresh = gradients.measure(rig_of("gradients"))
    assert frozen["lyapunov"]["median"] == pytest.approx(fresh["lyapunov"]["median"], abs=0.02)
    assert trained["lyapunov"]["median"] != pytest.approx(fresh["lyapunov"]["median"], abs=0.02)


def test_a_tight_clip_clips_every_update_and_a_loose_one_none() -> None:
    tight, loose = (
        measure(rig_of("training", clips=(Choice("norm", {"max_norm": c}),), protocol=SHORT))
        for c in (1e-6, 1e6)
    )
    assert tight["clipped_fraction"] == 1.0
    assert max(tight["norm_after"]) <= 1e-6
    assert loose["clipped_fraction"] == 0.0
    assert loose["norm_after"] == loose["norm_before"]


def test_the_size_of_a_cut_is_over_what_was_cut_alone() -> None:
    values = measure(rig_of("training", clips=(Choice("norm", {"max_norm": 0.3}),), protocol=SHORT))
    norms = zip(values["norm_before"], values["norm_after"], strict=True)
    cut = [after / before for before, after in norms if after < 0.999 * before]
    assert 0 < len(cut) < 20  # some are, and some are not
    quartiles = torch.tensor(cut, dtype=torch.float64).quantile(
        torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    )
    # float32 norms
    assert list(values["clipped_norm_ratio"].values()) == pytest.approx(
        quartiles.tolist(), rel=1e-5
    )


def test_what_a_clip_of_hidden_gradients_leaves_is_told_by_the_step() -> None:
    clips = (Choice("hidden", {"max_norm": 1e-9}),)
    values = measure(rig_of("training", clips=clips, protocol=SHORT))
    assert values["norm_after"] == values["norm_before"]  # the cut was made before
    assert 0 < values["clipped_norm_ratio"]["median"] < 0.01


def test_without_a_cut_there_is_no_size_of_it() -> None:
    loose = (Choice("norm", {"max_norm": 1e6}),)
    for clips in ((), loose):
        values = measure(rig_of("training", clips=clips, protocol=SHORT))
        assert values["clipped_norm_ratio"] is None


def test_a_clip_of_hidden_gradients_is_counted_by_the_step() -> None:
    tight, loose = (
        measure(rig_of("training", clips=(Choice("hidden", {"max_norm": c}),), protocol=SHORT))
        for c in (1e-9, 1e9)
    )
    assert tight["clipped_fraction"] == 1.0
    assert loose["clipped_fraction"] == 0.0


def test_windows_without_a_loss_do_not_dilute_the_share_that_is_clipped() -> None:
    clips, params = (Choice("norm", {"max_norm": 1e-6}),), {"stride": 8, "depth": 8}
    values = measure(rig_of("training", "truncated_bptt", clips, params, protocol=SHORT))
    assert values["clipped_fraction"] == 1.0  # adding has a loss in the last window alone


def test_a_gradient_that_is_not_finite_counts_as_clipped() -> None:
    clip = Counted(Value(1.0))
    clip.params({"w": torch.tensor([math.inf, 1.0])}, {})
    assert clipped_fraction((clip,)) == 1.0


def test_what_has_no_finite_norm_has_no_size_of_a_cut() -> None:
    clip = Counted(Value(1.0))
    clip.params({"w": torch.tensor([math.inf, 1.0])}, {})  # leaves [1, 1]: sqrt(2) / inf is 0
    assert clipped_norm_ratio((clip,)) is None
    clip.params({"w": torch.tensor([4.0])}, {})
    assert clipped_norm_ratio((clip,)) == dict.fromkeys(("lower", "median", "upper"), 0.25)


def test_what_is_kept_of_the_cuts_is_bounded_and_tells_of_all_steps(monkeypatch) -> None:
    monkeypatch.setattr(clipping, "HELD", 64)
    monkeypatch.setattr(clipping, "SAMPLE", 128)
    clip, most = Counted(Value(1.0)), 0
    for step in range(2048):  # 32 sequences of 64 steps, whose cuts leave 1/1 to 1/64
        clip.params({"w": torch.tensor([1.0 + step % 64])}, {})
        most = max(most, sum(one.numel() for one in (*clip._held, clip.cuts)))
    assert most <= 3 * 64 + 2 * 128
    assert clipped_fraction((clip,)) == pytest.approx(63 / 64)
    assert set(clip.cuts[1].tolist()) > {0.5, 1 / 64}  # both ends of a sequence
    ratio = clipped_norm_ratio((clip,))
    # the true median is 1/33; the rank of one of 128 is off by less than 4 x 4.4 %: 1/44 to 1/22
    assert 1 / 44 < ratio["median"] < 1 / 22
    again = Counted(Value(1.0))
    for step in range(2048):
        again.params({"w": torch.tensor([1.0 + step % 64])}, {})
    assert clipped_norm_ratio((again,)) == ratio


def test_the_sample_of_two_clips_weighs_each_cut_the_same(monkeypatch) -> None:
    monkeypatch.setattr(clipping, "SAMPLE", 64)
    often, seldom = Counted(Value(1.0)), Counted(Value(1.0))
    for _ in range(1000):
        often.params({"w": torch.tensor([2.0])}, {})
    for _ in range(70):  # a sample of its own would be as large as the other's
        seldom.params({"w": torch.tensor([10.0])}, {})
    ratio = clipped_norm_ratio((often, seldom))
    assert ratio == dict.fromkeys(("lower", "median", "upper"), 0.5)


def test_a_score_that_is_not_finite_is_divergence_too() -> None:
    rig = rig_of(
        "training", optimizer="sgd", learning_rate=1e25, protocol={**SHORT, "sequences": 1}
    )
    with pytest.raises(Diverged, match="the score was not finite after sequence 1"):
        measure(rig)


def test_the_same_trial_gives_the_same_curve() -> None:
    one, two = (measure(rig_of("training", protocol=SHORT)) for _ in range(2))
    assert one["loss"] == two["loss"]
    assert one["score"] == two["score"]


def test_exact_methods_follow_the_same_curve() -> None:
    full, other = (
        measure(rig_of("training", name, protocol=SHORT)) for name in ("full_bptt", "checkpointed")
    )
    assert other["loss"] == pytest.approx(full["loss"], rel=1e-3)  # float32 over 20 updates


def test_a_learning_rate_that_is_far_too_high_ends_as_diverged_with_what_was_seen() -> None:
    rig = rig_of("training", optimizer="sgd", learning_rate=1e30, protocol=SHORT)
    with pytest.raises(Diverged, match=r"not finite at sequence \d+(;|$)") as caught:
        measure(rig)
    assert caught.value.values["updates"] >= 1
