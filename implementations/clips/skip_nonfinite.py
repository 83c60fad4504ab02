"""Skip the update where any entry of the gradient is infinite or NaN.

A skipped update leaves every gradient out, so the optimizer does not move: neither the parameters
nor its own momentum.

Source: Micikevicius et al. (2018), Mixed precision training, which skips the updates that overflow.
Cost: one pass over the P parameters, and one truth read back from the device: whether to skip.
It cannot mend what causes it: where every gradient is not finite, training stands still.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import Clip, Gradients


@dataclass
class SkipNonfinite(Clip):
    """All of the gradient, or nothing."""

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient as it is where it is finite throughout, and nothing where not."""
        finite = torch.stack([grad.isfinite().all() for grad in grads.values()]).all()
        return grads if bool(finite) else {}
