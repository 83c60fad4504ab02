"""The random signs of unbiased online methods."""

import torch
from torch import Tensor


def signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return −1 or 1 with equal chances, shaped as `like`; the same on every device."""
    coins = torch.randint(0, 2, like.shape, generator=generator)
    return (2 * coins - 1).to(like)
