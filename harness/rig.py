"""What a trial names, built: its model, method, clips, task and batches."""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import dataclass, replace
from typing import cast

import torch

from harness import device
from harness.contract import (
    Batch,
    Cell,
    Clip,
    Cost,
    Draw,
    GatedCell,
    GradientMethod,
    Shape,
    Split,
    Task,
)
from harness.drive import Drive, Observer, Update
from harness.model import Model
from harness.registry import Registry
from harness.trial import Trial

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
BATCHES_A_BLOCK = 1000  # how far apart the blocks begin to read a stateful task's text
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}


class Skipped(Exception):
    """The trial asks for what its plugins cannot do; the message says why."""


def seed_of(trial: Trial, *purpose: object) -> int:
    """Return a seed that rivals of one block share: it depends on no implementation."""
    words = repr((trial.seed, trial.block, *purpose)).encode()
    return int.from_bytes(hashlib.sha256(words).digest()[:7], "big")


@dataclass(frozen=True, slots=True)
class Rig:
    """One trial, ready to be measured."""

    trial: Trial
    task: Task
    model: Model
    method: GradientMethod
    clips: tuple[Clip, ...]
    device: torch.device
    dtype: torch.dtype

    def generator(self, *purpose: object) -> torch.Generator:
        """Return a fresh source of chance on the CPU, the same on every device."""
        return torch.Generator().manual_seed(seed_of(self.trial, *purpose))

    def batch(self, index: int = 0, split: Split = "train", batch_size: int | None = None) -> Batch:
        """Return the task's batch on the trial's device, of the trial's size unless told."""
        first = BATCHES_A_BLOCK * self.trial.block if split == "train" else 0
        size = batch_size or self.trial.batch_size
        draw = Draw(self.trial.sequence_length, size, first + index, split)
        batch = self.task.batch(draw, self.generator("batch", split, index))
        return batch.to(self.device, self.dtype)

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer:
        """Return a fresh optimizer of the model's parameters."""
        make = cast(type[torch.optim.SGD], OPTIMIZERS[self.trial.optimizer])
        return make(self.model.parameters(), lr=learning_rate)

    def drive(
        self, optimizer: torch.optim.Optimizer | None = None, observe: Observer | None = None
    ) -> Drive:
        """Return the loop that trains, or with no optimizer only looks."""
        update = cast(Update, self.trial.update)
        return Drive(self.model, self.method, self.clips, update, optimizer, observe)

    def shape(self) -> Shape:
        """Return the sizes that a method's cost depends on."""
        cell = self.model.cell
        return Shape(
            length=self.trial.sequence_length,
            batch_size=self.trial.batch_size,
            input_size=self.task.input_size,
            hidden_size=self.trial.hidden_size,
            output_size=self.task.output_size,
            gates=cell.gates,
            parts=cell.parts,
            saved_step=cell.saved_step,
            saved_fused=cell.saved_fused,
            parameters=sum(param.numel() for param in self.model.parameters()),
            item_bytes=self.dtype.itemsize,
            summed=isinstance(cell, GatedCell) and (cell.summed or cell.hidden_map is None),
            own=len(cell.own) if isinstance(cell, GatedCell) else 0,
            mixing=not isinstance(cell, GatedCell) or cell.hidden_map is not None,
        )

    def updates(self) -> int:
        """Return how many updates training makes on a sequence."""
        length = self.trial.sequence_length
        stride = self.method.stride or length
        return math.ceil(length / stride) if self.trial.update == "window" else 1

    def theory(self) -> Cost | None:
        """Return what the method's formula predicts for one sequence."""
        return self.method.cost(self.shape())

    def synchronize(self) -> None:
        """Wait until the device has done all it was asked to."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)

    def in_float64(self) -> Rig:
        """Return the same weights, method and clips in float64, as copies."""
        return replace(
            self,
            model=copy.deepcopy(self.model).double(),
            method=copy.deepcopy(self.method),
            clips=copy.deepcopy(self.clips),
            dtype=torch.float64,
        )

    def without_clips(self) -> Rig:
        """Return the bare gradient method."""
        return replace(self, clips=())


def build(trial: Trial, registry: Registry) -> Rig:
    """Return the trial's rig; rivals of one block get the same weights, whatever the dtype.

    Raises:
        device.NoDevice: there is no such device here.
        Skipped: a plugin cannot do what the trial asks.
    """
    task: Task = registry.build("tasks", trial.task)
    where, number = device.find(trial), DTYPES[trial.dtype]
    device.hold(where, trial.limits.memory_bytes)
    torch.manual_seed(seed_of(trial, "weights"))
    cell: Cell = registry.build("cells", trial.cell, task.input_size, trial.hidden_size)
    model = Model(cell, task).to(where, number)
    method: GradientMethod = registry.build("gradients", trial.implementation.gradient)
    clips: list[Clip] = [registry.build("clips", clip) for clip in trial.implementation.clips]
    splits: tuple[Split, ...] = (
        ("train", "valid") if trial.measurement == "training" else ("train",)
    )
    draws = [Draw(trial.sequence_length, trial.batch_size, 0, split) for split in splits]
    refused = next(filter(None, map(task.refuses, draws)), None)
    unfit = method.supports(model) or next(filter(None, (c.supports(model) for c in clips)), None)
    reason = refused or unfit or _hidden_conflict(method, clips)
    if reason is not None:
        raise Skipped(reason)
    return Rig(trial, task, model, method, tuple(clips), where, number)


def _hidden_conflict(method: GradientMethod, clips: list[Clip]) -> str | None:
    for clip in clips:
        if clip.uses_hidden and not method.hooked:
            return (
                f"{type(clip).__name__} clips dL/ds at every step, "
                f"which {type(method).__name__} does not show"
            )
    return None
