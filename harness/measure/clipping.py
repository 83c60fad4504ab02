"""What clips did while a model trained: how often they changed a gradient, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from harness.contract import Batch, Clip, Gradients, State
from harness.drive import filled
from harness.model import Model

QUARTILES = {"lower": 0.25, "median": 0.5, "upper": 0.75}
ROUNDING = 1e-5  # of a gradient's norm; torch's norm clip itself adds 1e-6


class Counted(Clip):
    """A clip, with how often it was applied to anything, how often it changed that, and what left.

    `ratios` are the norms after over the norms before.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.uses_hidden = clip.uses_hidden
        self.applied: list[Tensor] = []
        self.changed: list[Tensor] = []
        self.ratios: list[Tensor] = []

    def meet(self, model: Model, window: Batch) -> None:
        """Pass the window on to the clip."""
        self.clip.meet(model, window)

    def hidden(self, t: int, grads: State) -> State:
        """Return what the clip sends on, and count it if the clip is one of hidden gradients."""
        sent = self.clip.hidden(t, grads)
        if self.uses_hidden:
            self._count(grads, sent)
        return sent

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return what the clip leaves, and count it unless the clip is one of hidden gradients."""
        left = self.clip.params(grads, params)
        if not self.uses_hidden:
            self._count(tuple(grads.values()), tuple(filled(left, grads).values()))
        return left

    def _count(self, before: State, after: State) -> None:
        """Note one application; what changes less than rounding is not changed."""
        size = get_total_norm(before)
        change = get_total_norm([a - b for a, b in zip(after, before, strict=True)])
        self.applied.append(size != 0)
        self.changed.append((change > ROUNDING * size) | ~size.isfinite())
        self.ratios.append(get_total_norm(after) / size)


def clipped_fraction(clips: Sequence[Counted]) -> float | None:
    """Return the share of what was not 0 that the clips changed; null: there are none.

    One gradient an update, or for a clip of hidden gradients one dL/ds a step.
    """
    applied = [mark for clip in clips for mark in clip.applied]
    if not applied:
        return None
    changed = [mark for clip in clips for mark in clip.changed]
    total = torch.stack(applied).sum()
    return float((torch.stack(applied) & torch.stack(changed)).sum() / total.clamp(min=1))


def clipped_norm_ratio(clips: Sequence[Counted]) -> dict[str, float] | None:
    """Return the norm after a cut over that before, where a clip cut: median and quartiles.

    null: nothing was cut, or nothing that has a finite norm.
    """
    ratios = [ratio for clip in clips for ratio in clip.ratios]
    changed = [mark for clip in clips for mark in clip.changed]
    if not ratios:
        return None
    cut = torch.stack(ratios).double()
    cut = cut[torch.stack(changed) & cut.isfinite()]
    if not len(cut):
        return None
    return {name: float(cut.quantile(share)) for name, share in QUARTILES.items()}
