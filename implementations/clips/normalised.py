"""Rescale the whole gradient to length 1, whatever it was: g ← g/‖g‖.

Source: Hazan, Levy and Shalev-Shwartz (2015), Beyond convexity: stochastic quasi-convex
optimization, whose stochastic normalized gradient descent takes this step.
Cost: one pass over the P parameters.
It cannot slow down near a minimum: a short gradient is lengthened like any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from harness.contract import Clip, Gradients


@dataclass
class Normalised(Clip):
    """The direction of the gradient alone."""

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return the gradient at length 1; one that is 0 has no direction and stays 0."""
        norm = get_total_norm(grads.values())
        length = torch.where(norm == 0, 1.0, norm)
        return {name: grad / length for name, grad in grads.items()}
