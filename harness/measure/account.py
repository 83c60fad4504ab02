"""What an allocator says a run needed: the bytes kept for backward passes, and the most at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.rig import Rig


@dataclass(frozen=True, slots=True)
class Traced:
    """Bytes beyond what was alive before the run, and who counted them."""

    kept_bytes: int  # alive when a backward pass begins, gradients apart; the most over windows
    peak_bytes: int
    counted_by: str


@contextmanager
def marks(rig: Rig, mark: Callable[[int], None]) -> Iterator[None]:
    """Call `mark` whenever a backward pass begins, with the bytes that gradients hold then.

    Those are static: they are still there from the last update, and not kept for this pass.
    """
    rig.model.on_backward = lambda: mark(gradient_bytes(rig))
    try:
        yield
    finally:
        rig.model.on_backward = None


def gradient_bytes(rig: Rig) -> int:
    """Return the bytes of the gradients that the parameters hold now."""
    params = rig.model.parameters()
    return sum(param.grad.nbytes for param in params if param.grad is not None)
