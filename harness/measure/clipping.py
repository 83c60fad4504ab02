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
HELD = 1024  # applications between two looks at them: each look waits for the device
SAMPLE = 4096  # cuts: the rank of a quartile of so many is off by 0.8 % (standard deviation)


class Counted(Clip):
    """A clip, with how often it was applied to anything, how often it changed that, and what left.

    A clip of hidden gradients is applied at every step, tens of millions of times in a training, so
    what is kept does not grow with it: two counts, the norms of the latest HELD applications, and
    of the cuts a sample. `cuts` [2, at most SAMPLE] holds lots drawn with a fixed seed, and norms
    after over norms before: all cuts up to SAMPLE, of more those with the lowest lots. (Every n-th
    would meet the same steps of all sequences.)
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.uses_hidden = clip.uses_hidden
        self.applied = self.changed = 0
        self.cuts = torch.empty(2, 0, dtype=torch.float64)
        self._lots = torch.Generator().manual_seed(0)  # its own: no other number of a trial moves
        self._held: list[Tensor] = []

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

    def settle(self) -> None:
        """Bring the counts and the sample up to the latest application."""
        if not self._held:
            return
        size, change, left = torch.stack(self._held).cpu().double().unbind(1)
        self._held.clear()
        changed = (size != 0) & ((change > ROUNDING * size) | ~size.isfinite())
        self.applied += int((size != 0).sum())
        self.changed += int(changed.sum())
        cut = (left / size)[changed & size.isfinite() & left.isfinite()]
        lots = torch.rand(len(cut), generator=self._lots, dtype=torch.float64)
        self.cuts = _sampled([self.cuts, torch.stack((lots, cut))])

    def _count(self, before: State, after: State) -> None:
        """Note one application; what changes less than rounding is not changed."""
        change = [a - b for a, b in zip(after, before, strict=True)]
        self._held.append(torch.stack([get_total_norm(of) for of in (before, change, after)]))
        if len(self._held) == HELD:
            self.settle()


def clipped_fraction(clips: Sequence[Counted]) -> float | None:
    """Return the share of what was not 0 that the clips changed; null: there are none.

    One gradient an update, or for a clip of hidden gradients one dL/ds a step.
    """
    for clip in clips:
        clip.settle()
    applied = sum(clip.applied for clip in clips)
    return sum(clip.changed for clip in clips) / applied if applied else None


def clipped_norm_ratio(clips: Sequence[Counted]) -> dict[str, float] | None:
    """Return the norm after a cut over that before, where a clip cut: median and quartiles.

    Of more than SAMPLE cuts those of a sample. null: nothing was cut, or nothing that has a finite
    norm.
    """
    for clip in clips:
        clip.settle()
    cut = _sampled([clip.cuts for clip in clips])[1] if clips else torch.empty(0)
    if not len(cut):
        return None
    return {name: float(cut.quantile(share)) for name, share in QUARTILES.items()}


def _sampled(drawn: Sequence[Tensor]) -> Tensor:
    """Return the SAMPLE lowest lots of all with what they were drawn for: all had one chance."""
    joined = torch.cat(list(drawn), dim=1)
    return joined[:, joined[0].argsort()[:SAMPLE]]
