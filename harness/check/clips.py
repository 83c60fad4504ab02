"""Does a clip keep its promises, on gradients that are far too short and far too long."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from harness.check.finding import SEED, Finding, finding
from harness.registry import Registry
from harness.trial import Choice


def check_clip(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a clip on a short and a long gradient."""
    generator = torch.Generator().manual_seed(SEED)
    params = {"w": torch.randn(4, 3, generator=generator), "b": torch.randn(4, generator=generator)}
    state = tuple(torch.randn(2, 5, generator=generator) for _ in range(2))
    for scale in (1e-6, 1e6):
        clip = registry.build("clips", choice)
        grads = {name: scale * param for name, param in params.items()}
        message = tuple(scale * part for part in state)
        given = (*grads.values(), *params.values(), *message)
        before = [tensor.clone() for tensor in given]
        out = clip.params(grads, params)
        sent = clip.hidden(0, message)
        place = f"gradient times {scale:g}"
        shapes = {name: grad.shape for name, grad in out.items()}
        same = shapes == {name: param.shape for name, param in params.items()}
        same = same and [part.shape for part in sent] == [part.shape for part in state]
        yield finding(choice, "names and shapes are kept", place, same, f"got {shapes}")
        untouched = all(map(torch.equal, given, before))
        yield finding(choice, "its arguments are left untouched", place, untouched, "changed")
        finite = all(bool(grad.isfinite().all()) for grad in [*out.values(), *sent])
        yield finding(choice, "finite gradients stay finite", place, finite, "not finite")
