"""Where a sequence's time goes: forward, backward, clip, optimizer.

A short run of its own, because splitting needs a synchronisation at every border. Forward is what
passes before a window's loss is first differentiated; a method that runs parts of the forward pass
again (checkpointing) shows that under backward, and so does a clip of hidden gradients.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from harness.contract import Batch, Carry, Gradient, GradientMethod, Gradients, Hook
from harness.drive import Drive
from harness.model import Model
from harness.rig import Rig
from harness.trial import SpeedProtocol

PHASES = ("forward", "backward", "clip", "optimizer")


class _Stopwatch:
    """Adds the time since the last border to a phase."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.synchronize = synchronize
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.last = time.perf_counter()

    def border(self, phase: str | None) -> None:
        """Book the time since the last border under `phase`; None: under none."""
        self.synchronize()
        now = time.perf_counter()
        if phase is not None:
            self.seconds[phase] += now - self.last
        self.last = now


class _Watched(GradientMethod):
    """A gradient method whose forward and backward borders are booked."""

    def __init__(self, method: GradientMethod, watch: _Stopwatch) -> None:
        self.method = method
        self.watch = watch
        self.stride = method.stride
        self.differentiating = False

    def begin(self, model: Model, batch_size: int, generator: torch.Generator) -> Carry:
        return self.method.begin(model, batch_size, generator)

    def backward_begins(self) -> None:
        """Called at every loss; only a window's first ends its forward phase."""
        if not self.differentiating:
            self.watch.border("forward")
        self.differentiating = True

    def gradient(
        self, model: Model, window: Batch, carry: Carry, hook: Hook | None = None
    ) -> tuple[Gradient, Carry]:
        self.watch.border(None)
        self.differentiating = False
        result = self.method.gradient(model, window, carry, hook)
        self.watch.border("backward")
        return result


def phase_runs(rig: Rig, batch: Batch, protocol: SpeedProtocol) -> list[dict[str, float]]:
    """Return the seconds of each phase, one mapping a sequence; of long ones only one or two."""
    watch = _Stopwatch(rig.synchronize)
    method = _Watched(rig.method, watch)
    optimizer = rig.optimizer(learning_rate=0.0)
    optimizer.register_step_post_hook(lambda *_: watch.border("optimizer"))

    def clipped(gradient: Gradient, grads: Gradients) -> None:
        watch.border("clip")

    plain = rig.drive(optimizer)
    drive = Drive(rig.model, method, rig.clips, plain.update, optimizer, clipped)
    rig.model.on_backward = method.backward_begins
    runs: list[dict[str, float]] = []
    start = time.perf_counter()
    try:
        while len(runs) < protocol.phase_sequences and (
            not runs or time.perf_counter() - start < protocol.phase_seconds
        ):
            watch.seconds = dict.fromkeys(PHASES, 0.0)
            drive.sequence(batch, drive.begin(rig.trial.batch_size, rig.generator("method")))
            runs.append(watch.seconds)
    finally:
        rig.model.on_backward = None
    return runs
