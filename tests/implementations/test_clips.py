"""Each clip against its published rule, in torch's own version where there is one."""

import math

import pytest
import torch
from problems import batch_of, flat, gradient_by, model_of

from harness.contract import Clip, Gradients, State
from harness.oracle import exact_gradient
from implementations.clips.hidden import Hidden
from implementations.clips.norm import Norm
from implementations.clips.value import Value
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


@pytest.mark.parametrize("clip", [Norm, Value, Hidden], ids=lambda c: c.__name__)
def test_a_bound_that_lets_nothing_through_is_refused(clip: type[Clip]) -> None:
    with pytest.raises(ValueError, match="must be above 0, not 0"):
        clip(0.0)  # type: ignore[call-arg]
