"""What a clip promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from harness.contract.data import Batch, Gradients, State

if TYPE_CHECKING:
    from harness.model import Model


class Clip:
    """A change made to gradients before the optimizer sees them; the identity by default."""

    uses_hidden: bool = False  # needs a method that is `hooked`

    def supports(self, model: Model) -> str | None:
        """Return why `model` cannot be trained with it, in one sentence; None if it can."""
        return None

    def meet(self, model: Model, window: Batch) -> None:
        """Hear of the window whose hidden gradients, and then parameters' gradient, come next."""

    def hidden(self, t: int, grads: State) -> State:
        """Return what travels on in place of dL/ds_t, one (B, H) tensor per part of the state."""
        return grads

    def params(self, grads: Gradients, params: Mapping[str, Tensor]) -> Gradients:
        """Return what the optimizer gets in place of `grads`; neither argument is changed.

        It is asked once an update, so what it remembers lives as long as the trial. A parameter
        whose gradient it leaves out is not moved, not even by momentum; an empty mapping skips the
        update.
        """
        return grads
