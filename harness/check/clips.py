"""Does a clip keep its promises, over many updates far too short and far too long, and one spoilt.

A clip may remember: it meets a stream of gradients, as in a trial, and a fresh one meets it again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.check.finding import SEED, Finding, finding
from harness.contract import Clip, Gradients, State
from harness.registry import Registry
from harness.trial import Choice

UPDATES = 40  # longer than the warm-up of any clip here
POWERS = range(-6, 7)  # of ten: how long the gradients are, in turn
SPOILT = 30  # the update whose gradient is not finite


@dataclass(frozen=True, slots=True)
class _Update:
    """What a clip was given, and what it made of it."""

    grads: Gradients
    message: State
    left: Gradients
    sent: State
    untouched: bool


def check_clip(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a clip on a stream of gradients, and a fresh one again, in two number formats."""
    for dtype in (torch.float32, torch.bfloat16):
        clip = registry.build("clips", choice)
        met = _meet(clip, dtype)
        promises: dict[str, Iterable[bool]] = {
            "names, shapes and dtypes are kept": map(_alike, met),
            "its arguments are left untouched": (one.untouched for one in met),
            "finite gradients stay finite": map(_stays_finite, met[:SPOILT]),
            "a gradient that is not finite spoils no later one": map(_stays_finite, met),
            "what it returns holds no graph": map(_without_graph, met),
            "`uses_hidden` is true if it changes hidden gradients": (
                clip.uses_hidden or all(map(_same, one.message, one.sent)) for one in met
            ),
            "a fresh one repeats it": map(
                _repeats, met, _meet(registry.build("clips", choice), dtype)
            ),
        }
        for promise, kept in promises.items():
            wrong = next((t for t, one in enumerate(kept) if not one), None)
            place = str(dtype).removeprefix("torch.")
            yield finding(choice, promise, place, wrong is None, f"not at update {wrong}")


def _meet(clip: Clip, dtype: torch.dtype) -> list[_Update]:
    """Take the clip through the stream, with torch's own chance seeded as a trial seeds it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return list(_updates(clip, dtype))


def _updates(clip: Clip, dtype: torch.dtype) -> Iterator[_Update]:
    generator = torch.Generator().manual_seed(SEED)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator).to(dtype)

    params = {"w": normal(4, 3).requires_grad_(), "b": normal(4).requires_grad_()}
    for t in range(UPDATES):
        scale = 10.0 ** POWERS[t % len(POWERS)]
        grads = {name: scale * normal(*param.shape) for name, param in params.items()}
        message = (scale * normal(2, 5), scale * normal(2, 5))
        if t == SPOILT:
            grads["w"][0, 0], grads["b"][0] = math.nan, math.inf
        given = (*params.values(), *grads.values(), *message)
        before = [tensor.detach().clone() for tensor in given]
        left, sent = clip.params(grads, params), clip.hidden(t, message)
        yield _Update(grads, message, left, sent, all(map(_same, given, before)))


def _alike(one: _Update) -> bool:
    """Return whether what is left is of the gradients given; some, or all, may be left out."""
    pairs = [(grad, one.grads[name]) for name, grad in one.left.items() if name in one.grads]
    pairs += zip(one.sent, one.message, strict=False)
    named = one.left.keys() <= one.grads.keys() and len(one.sent) == len(one.message)
    return named and all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)


def _stays_finite(one: _Update) -> bool:
    """Return whether a clip made nothing infinite, or NaN, of what was finite."""
    given = (*one.grads.values(), *one.message)
    if not all(bool(tensor.isfinite().all()) for tensor in given):
        return True
    return all(bool(tensor.isfinite().all()) for tensor in (*one.left.values(), *one.sent))


def _without_graph(one: _Update) -> bool:
    return not any(tensor.requires_grad for tensor in (*one.left.values(), *one.sent))


def _repeats(one: _Update, other: _Update) -> bool:
    names = one.left.keys() == other.left.keys()
    pairs = [(grad, other.left[name]) for name, grad in one.left.items() if names]
    pairs += zip(one.sent, other.sent, strict=False)
    return names and all(_same(a, b) for a, b in pairs)


def _same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are the same to the last bit; NaN is itself."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True)
