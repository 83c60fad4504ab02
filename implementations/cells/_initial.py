"""How recurrent weights begin, for the cells that let a sweep choose it."""

from typing import Literal

import torch
from torch import Tensor, nn

Recurrent = Literal["uniform", "identity", "orthogonal"]


@torch.no_grad()
def begin(weight: Tensor, recurrent: Recurrent) -> None:
    """Fill each (H, H) block of a (kH, H) weight; "uniform" leaves what torch drew.

    Orthogonal: Saxe, McClelland and Ganguli (2014), Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks. Identity: Le, Jaitly and Hinton (2015).
    """
    for block in weight.split(weight.shape[1]):
        if recurrent == "identity":
            nn.init.eye_(block)
        elif recurrent == "orthogonal":
            nn.init.orthogonal_(block)


@torch.no_grad()
def thin(weight: Tensor, density: float) -> None:
    """Set all but a random share of the entries to 0; the others grow by 1/√density.

    So the spread of a unit's sum stays what it was. Zeros are where weights begin; the clip
    `keep_zeros` keeps them.
    """
    if not 0 < density <= 1:
        raise ValueError(f"density must be above 0 and at most 1, not {density}")
    if density < 1:
        kept = torch.randperm(weight.numel()).view_as(weight) < round(density * weight.numel())
        weight.mul_(kept / density**0.5)
