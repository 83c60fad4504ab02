"""What theory says that trials demand: models are built, one a cell and task, and nothing runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import torch

from harness.contract import Cost, Shape
from harness.data import DataError
from harness.forecast.demand import Demand, levels
from harness.model import Model
from harness.registry import Registry
from harness.rig import DTYPES, Rig
from harness.trial import TrainingProtocol, Trial

OPTIMIZER_COPIES = {"adam": 2, "sgd": 0}  # of every parameter, beside itself and its gradient
DOUBLE = 8  # bytes of a number in float64
TARGET = 8  # bytes of a class, the larger of what targets are
WEIGHT = 4


def demands(trials: Iterable[Trial], registry: Registry) -> dict[str, Demand]:
    """Return what each trial demands, by its id.

    A trial that a plugin refuses, or whose task's data are not here yet, is left out.
    """
    models: dict[Hashable, Model | None] = {}
    points: dict[Hashable, Demand | None] = {}
    found = {}
    for trial in trials:
        point = levels(trial)[-1]
        if point not in points:
            points[point] = _demand(trial, registry, models)
        demand = points[point]
        if demand is not None:
            found[trial.id] = demand
    return found


def _demand(
    trial: Trial, registry: Registry, models: dict[Hashable, Model | None]
) -> Demand | None:
    kind = (str(trial.cell), str(trial.task), trial.hidden_size, trial.dtype)
    if kind not in models:
        models[kind] = _model(trial, registry)
    model = models[kind]
    if model is None:
        return None
    method = registry.build("gradients", trial.implementation.gradient)
    if method.supports(model) is not None:
        return None
    dtype = DTYPES[trial.dtype]
    rig = Rig(trial, model.task, model, method, (), torch.device("cpu"), dtype)
    return _of(trial, rig.shape(), rig.theory(), rig.updates())


def _model(trial: Trial, registry: Registry) -> Model | None:
    try:
        task = registry.build("tasks", trial.task)
        cell = registry.build("cells", trial.cell, task.input_size, trial.hidden_size)
    except DataError:
        return None
    return Model(cell, task)


def _of(trial: Trial, shape: Shape, cost: Cost | None, updates: int) -> Demand:
    steps, item = shape.length * shape.batch_size, shape.item_bytes
    copies = 2 + OPTIMIZER_COPIES.get(trial.optimizer, max(OPTIMIZER_COPIES.values()))
    oracle = shape.saved_step * shape.states * item + shape.loss_bytes
    return Demand(
        flops=cost.flops if cost else shape.forward_flops + shape.backward_flops,
        plain_flops=shape.forward_flops + shape.backward_flops,
        depth=cost.sequential_depth if cost else 2 * shape.length,
        updates=updates,
        static_bytes=float(shape.parameters * item * copies),
        batch_bytes=float(steps * (shape.input_size * item + TARGET + WEIGHT)),
        kept_bytes=cost.kept_bytes + cost.backward_bytes if cost else None,
        oracle_bytes=oracle * DOUBLE / item,
        scored_bytes=_scored_bytes(trial, shape),
    )


def _scored_bytes(trial: Trial, shape: Shape) -> float:
    """Return the bytes of an evaluation: inputs, outputs, predictions and what scores them."""
    if trial.measurement != "training":
        return 0.0
    protocol = TrainingProtocol(**trial.protocol)  # type: ignore[arg-type]  # TOML's numbers
    width = shape.input_size + shape.hidden_size + 2 * shape.output_size
    return float(shape.length * protocol.evaluation_sequences * width * shape.item_bytes)
