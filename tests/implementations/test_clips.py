"""Each clip against its published rule, in torch's own version where there is one."""

import math
from collections.abc import Callable

import pytest
import torch
from problems import batch_of, flat, gradient_by, model_of
from torch import Tensor

from harness.contract import Clip, Gradients, State
from harness.oracle import exact_gradient
from implementations.clips.agc import AGC, READOUT
from implementations.clips.autoclip import AutoClip
from implementations.clips.hidden import Hidden
from implementations.clips.hidden_value import HiddenValue
from implementations.clips.noise import Noise
from implementations.clips.norm import Norm
from implementations.clips.normalised import Normalised
from implementations.clips.per_parameter import PerParameter
from implementations.clips.spam import SPAM
from implementations.clips.value import Value
from implementations.clips.zclip import ZClip
from implementations.gradients.full_bptt import FullBPTT


def stream() -> list[Gradients]:
    """Gradients of two tensors over seven orders of magnitude."""
    generator = torch.Generator().manual_seed(0)
    return [
        {name: 10.0**power * torch.randn(5, generator=generator) for name in ("w", "b")}
        for power in range(-3, 4)
    ]


def clipped_by_torch(grads: Gradients, clip: object) -> Gradients:
    params = {name: torch.nn.Parameter(torch.zeros(5)) for name in grads}
    for name, param in params.items():
        param.grad = grads[name].clone()
    clip(list(params.values()))  # type: ignore[operator]
    return {name: param.grad for name, param in params.items() if param.grad is not None}


@pytest.mark.parametrize("grads", stream(), ids=lambda g: f"{float(flat(g).norm()):.1e}")
def test_norm_is_torchs_clip_grad_norm(grads: Gradients) -> None:
    want = clipped_by_torch(grads, lambda p: torch.nn.utils.clip_grad_norm_(p, 0.7))
    torch.testing.assert_close(Norm(0.7).params(grads, {}), want)


@pytest.mark.parametrize("grads", stream(), ids=lambda g: f"{float(flat(g).norm()):.1e}")
def test_value_is_torchs_clip_grad_value(grads: Gradients) -> None:
    want = clipped_by_torch(grads, lambda p: torch.nn.utils.clip_grad_value_(p, 0.7))
    torch.testing.assert_close(Value(0.7).params(grads, {}), want)


def test_norm_keeps_the_direction_and_value_does_not() -> None:
    grads = {"w": torch.tensor([3.0, 0.1])}
    direction = grads["w"] / grads["w"].norm()
    by_norm, by_value = (flat(clip.params(grads, {})) for clip in (Norm(1.0), Value(1.0)))
    torch.testing.assert_close(by_norm / by_norm.norm(), direction)
    assert float(by_value @ direction) / float(by_value.norm()) < 0.999


def test_a_clip_of_hidden_gradients_without_a_bound_is_full_bptt() -> None:
    model, batch = model_of("lstm"), batch_of(12)
    got = gradient_by(FullBPTT(), model, batch, (Hidden(math.inf),))
    torch.testing.assert_close(flat(got), flat(exact_gradient(model, batch).params))


class Recorded(Hidden):
    """Notes the norm of every message that it lets travel on."""

    def __init__(self, max_norm: float) -> None:
        super().__init__(max_norm)
        self.norms: list[float] = []

    def hidden(self, t: int, grads: State) -> State:
        sent = super().hidden(t, grads)
        self.norms.append(float(torch.cat(sent).norm()))
        return sent


def test_no_message_longer_than_the_bound_travels_back() -> None:
    model, batch = model_of("lstm"), batch_of(12)
    loose, tight = Recorded(1e9), Recorded(0.01)
    gradient_by(FullBPTT(), model, batch, (loose,))
    gradient_by(FullBPTT(), model, batch, (tight,))
    assert len(tight.norms) == 12
    assert max(loose.norms) > 0.01 >= max(tight.norms)


def test_a_clamp_of_hidden_gradients_without_a_bound_is_full_bptt() -> None:
    model, batch = model_of("lstm"), batch_of(12)
    got = gradient_by(FullBPTT(), model, batch, (HiddenValue(math.inf),))
    torch.testing.assert_close(flat(got), flat(exact_gradient(model, batch).params))


def test_a_clamp_of_hidden_gradients_bounds_every_entry_and_leaves_the_rest() -> None:
    grads = (torch.tensor([[3.0, -0.2]]), torch.tensor([[-math.inf, 0.1]]))
    got = HiddenValue(1.0).hidden(0, grads)
    want = (torch.tensor([[1.0, -0.2]]), torch.tensor([[-1.0, 0.1]]))
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("grads", stream(), ids=lambda g: f"{float(flat(g).norm()):.1e}")
def test_per_parameter_is_torchs_clip_grad_norm_of_each_tensor(grads: Gradients) -> None:
    def each(params: list[torch.nn.Parameter]) -> None:
        for param in params:
            torch.nn.utils.clip_grad_norm_([param], 0.7)

    torch.testing.assert_close(PerParameter(0.7).params(grads, {}), clipped_by_torch(grads, each))


WHOLE = [
    pytest.param(lambda: AutoClip(50.0), id="autoclip"),
    pytest.param(lambda: ZClip(warmup=2), id="zclip"),
    pytest.param(Normalised, id="normalised"),
]
IN_PARTS = [
    pytest.param(AGC, id="agc"),
    pytest.param(PerParameter, id="per_parameter"),
    pytest.param(lambda: SPAM(threshold=2.0, start=2), id="spam"),
]


def after_three(clip: Clip) -> tuple[Tensor, Tensor]:
    """Return a long, lopsided gradient and what the clip leaves of it, after two short ones."""
    params = {"w": torch.full((2, 2), 0.1), "b": torch.full((2,), 0.1)}
    for size in (1.0, 1.1):
        clip.params(
            {"w": size * torch.full((2, 2), 0.3), "b": size * torch.full((2,), 0.3)}, params
        )
    grads = {"w": torch.tensor([[40.0, 1.0], [0.1, 0.1]]), "b": torch.tensor([0.1, 7.0])}
    return flat(grads), flat(clip.params(grads, params))


def cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


@pytest.mark.parametrize("make", WHOLE)
def test_a_clip_of_the_whole_gradient_shortens_it_and_keeps_its_direction(
    make: Callable[[], Clip],
) -> None:
    before, after = after_three(make())
    assert after.norm() < 0.1 * before.norm()
    assert cosine(before, after) == pytest.approx(1.0, abs=1e-6)  # float32


@pytest.mark.parametrize("make", IN_PARTS)
def test_a_clip_that_acts_in_parts_shortens_the_gradient_and_turns_it(
    make: Callable[[], Clip],
) -> None:
    before, after = after_three(make())
    assert after.norm() < 0.1 * before.norm()
    assert 0 < cosine(before, after) < 0.99


def test_the_hundredth_percentile_never_clips() -> None:
    clip = AutoClip(100.0)
    for grads in [*stream(), *reversed(stream())]:
        torch.testing.assert_close(clip.params(grads, {}), grads, rtol=0, atol=0)


def test_the_zeroth_percentile_clips_to_the_shortest_so_far() -> None:
    clip = AutoClip(0.0)
    shortest = float(flat(stream()[0]).norm())
    for grads in stream():
        got = float(flat(clip.params(grads, {})).norm())
        assert got == pytest.approx(shortest, rel=1e-6)  # float32


def zclip_after(norms: list[float]) -> ZClip:
    clip = ZClip(max_norm=math.inf)
    for norm in norms:
        clip.params({"w": torch.tensor([norm], dtype=torch.float64)}, {})
    return clip


def test_the_further_out_a_spike_the_nearer_to_the_mean_zclip_puts_it() -> None:
    norms = [1.0, 1.2] * 13  # the mean is close to 1.1, the deviation to 0.1
    ends = []
    for spike in (1.4, 2.0, 10.0, 1e3, 1e6):
        clip = zclip_after(norms)
        mean = float(clip.mean)
        ends.append(float(clip.params({"w": torch.tensor([spike]).double()}, {})["w"]) - mean)
    assert ends == sorted(ends, reverse=True)
    assert 0.2 < ends[0] < 0.25  # z* deviations are 0.25 above the mean
    assert 0 < ends[-1] < 1e-6


def test_a_spike_moves_zclips_mean_no_further_than_it_is_clipped_to() -> None:
    clip = zclip_after([1.0, 1.2] * 13)
    mean = float(clip.mean)
    clip.params({"w": torch.tensor([1e6]).double()}, {})
    assert mean < float(clip.mean) < mean + 1e-6


@pytest.mark.parametrize("bad", [math.inf, math.nan], ids=["infinite", "nan"])
@pytest.mark.parametrize("make", [ZClip, AutoClip, SPAM], ids=lambda make: make.__name__)
def test_one_gradient_that_is_not_finite_is_not_remembered(make: type[Clip], bad: float) -> None:
    spoilt, spared = make(), make()
    for t, grads in enumerate(stream() * 6):
        if t == 5:
            spoilt.params({**grads, "w": torch.full((5,), bad)}, {})
        got, want = spoilt.params(grads, {}), spared.params(grads, {})
    assert all(grad.isfinite().all() for grad in got.values())
    if make is not SPAM:  # it counts updates, so it starts one earlier
        torch.testing.assert_close(got, want)


def test_noise_has_the_variance_of_its_update_and_no_mean() -> None:
    torch.manual_seed(0)
    clip, zeros = Noise(eta=0.3), {"w": torch.zeros(100_000, dtype=torch.float64)}
    drawn = [clip.params(zeros, {})["w"] for _ in range(4)]
    for t, noise in enumerate(drawn):
        variance = 0.3 / (1 + t) ** 0.55
        # Five standard errors: of a mean √(σ²/n), of a variance σ² √(2/n).
        assert abs(float(noise.mean())) < 5 * math.sqrt(variance / 100_000)
        assert float(noise.var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / 100_000))
    assert abs(cosine(drawn[0], drawn[1])) < 5 / math.sqrt(100_000)


def test_agc_lets_through_what_is_short_for_its_weights_and_never_touches_the_readout() -> None:
    params = {"w": torch.ones(2, 4), "b": torch.ones(4), "readout.bias": torch.ones(1)}
    grads = {
        "w": torch.tensor([[0.009] * 4, [0.02] * 4]),
        "b": torch.full((4,), 0.02),
        "readout.bias": torch.tensor([99.0]),
    }
    got = AGC(0.01).params(grads, params)
    want = {
        "w": torch.tensor([[0.009] * 4, [0.01] * 4]),
        "b": torch.full((4,), 0.01),
        "readout.bias": torch.tensor([99.0]),
    }
    torch.testing.assert_close(got, want)


def test_the_readout_that_agc_spares_is_what_the_model_calls_it() -> None:
    names = {name for name, _ in model_of().named_parameters()}
    assert {name for name in names if name.startswith(READOUT)} == {
        "readout.weight",
        "readout.bias",
    }


REFUSED = [
    (Norm, {"max_norm": 0.0}, "max_norm must be above 0, not 0"),
    (Value, {"limit": 0.0}, "limit must be above 0, not 0"),
    (Hidden, {"max_norm": 0.0}, "max_norm must be above 0, not 0"),
    (HiddenValue, {"limit": -1.0}, "limit must be above 0, not -1"),
    (PerParameter, {"max_norm": 0.0}, "max_norm must be above 0, not 0"),
    (AGC, {"clipping": 0.0}, "clipping must be above 0, not 0"),
    (AGC, {"eps": 0.0}, "eps must be above 0, not 0"),
    (AutoClip, {"percentile": 101.0}, "percentile must be from 0 to 100, not 101"),
    (ZClip, {"alpha": 1.0}, "alpha must be from 0 to below 1, not 1"),
    (ZClip, {"warmup": 0}, "warmup must be at least 1, not 0"),
    (ZClip, {"z_threshold": 0.0}, "z_threshold must be above 0, not 0"),
    (ZClip, {"max_norm": 0.0}, "max_norm must be above 0, not 0"),
    (SPAM, {"threshold": 0.0}, "threshold must be above 0, not 0"),
    (SPAM, {"beta2": 1.0}, "beta2 must be from 0 to below 1, not 1"),
    (SPAM, {"start": 1}, "start must be at least 2, not 1"),
    (Noise, {"eta": -1.0}, "eta must be at least 0, not -1"),
    (Noise, {"gamma": -1.0}, "gamma must be at least 0, not -1"),
]


@pytest.mark.parametrize(
    ("clip", "settings", "said"),
    [pytest.param(*one, id=f"{one[0].__name__} {next(iter(one[1]))}") for one in REFUSED],
)
def test_a_parameter_that_makes_no_sense_is_refused(
    clip: type[Clip], settings: dict[str, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        clip(**settings)
