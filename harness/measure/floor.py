"""The floor under every method: the same matrix products with nothing around them.

One sequence of full BPTT needs, forward, X Wᵀ for all steps at once and T products h Rᵀ that must
follow one another; backward T products dA R, then dAᵀ X and dAᵀ H at once; and three products of
the readout. No exact gradient taken step by step can be had faster from the same library. Where
units do not see one another, there is no R, and nothing that must follow.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from harness.rig import Rig


def floor(rig: Rig) -> Callable[[], None]:
    """Return what runs the bare products of one sequence, on tensors made beforehand."""
    shape = rig.shape()
    steps, batch, hidden = shape.length, shape.batch_size, shape.hidden_size
    stacked = shape.gates * hidden  # kH

    def full(*sizes: int) -> torch.Tensor:
        return torch.full(sizes, 1e-3, device=rig.device, dtype=rig.dtype)

    x, h = full(steps * batch, shape.input_size), full(steps, batch, hidden)
    w, r = full(stacked, shape.input_size), full(stacked, hidden)
    d_out, v = full(steps * batch, shape.output_size), full(shape.output_size, hidden)
    a, forward, backward = full(steps, batch, stacked), full(batch, stacked), full(batch, hidden)
    flat_h, flat_a = h.view(-1, hidden), a.view(-1, stacked)
    sequential = range(steps if shape.mixing else 0)

    def products() -> None:
        x @ w.T  # (T B, kH)
        for t in sequential:
            torch.mm(h[t], r.T, out=forward)
        flat_h @ v.T  # (T B, O)
        d_out @ v  # (T B, H)
        d_out.T @ flat_h
        for t in sequential:
            torch.mm(a[t], r, out=backward)
        flat_a.T @ x
        if shape.mixing:
            flat_a.T @ flat_h

    return products
