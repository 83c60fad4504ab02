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
