"""Rescale the whole gradient to at most the p-th percentile of all its norms so far.

Source: Seetharaman, Wichern, Pardo and Le Roux (2020), AutoClip: adaptive gradient clipping for
source separation networks.
Cost: at update t, one pass over the P parameters and a sort of t norms, O(t log t); t numbers are
kept, in a store that doubles when it is full. Nothing is read back from the device.
It cannot forget: norms from the wild start of training set the threshold ever after.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from harness.contract import Clip, Gradients

FIRST_STORE = 256  # norms: enough for a short trial without a copy


@dataclass
class AutoClip(Clip):
    """Norm clipping to a percentile of the trial's own history."""

    percentile: float = 10.0  # p, which the paper varies; at 10 most updates are shortened

    def __post_init__(self) -> None:
        if not 0 <= self.percentile <= 100:
            raise ValueError(f"percentile must be from 0 to 100, not {self.percentile}")
        self.store = torch.empty(0)  # (capacity,), of which the first `updates` are written
        self.updates = 0

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient, shortened where it is longer than the percentile."""
        norm = get_total_norm(grads.values())
        bound = torch.nanquantile(self.history(norm), self.percentile / 100)
        scale = torch.where(norm > bound, bound / norm, 1.0)
        return {name: grad * scale for name, grad in grads.items()}

    def history(self, norm: Tensor) -> Tensor:
        """Return the norm of every update so far, this one among them; NaN where it is left out.

        Left out is what the paper never meets: a norm that is not finite (one NaN would spoil every
        later percentile) and the 0 of a window without a loss (most of them would set c to 0).
        """
        if self.updates == len(self.store):
            number = torch.promote_types(norm.dtype, torch.float32)  # no quantiles in bfloat16
            more = norm.new_full((max(FIRST_STORE, self.updates),), math.nan, dtype=number)
            self.store = torch.cat([self.store.to(more), more])
        self.store[self.updates] = torch.where((norm > 0) & norm.isfinite(), norm, math.nan)
        self.updates += 1
        return self.store[: self.updates]
