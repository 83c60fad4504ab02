"""Does a task keep its promises: weights, shapes, and chance from the generator alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from harness.check.finding import SEED, Finding, finding
from harness.contract import Draw
from harness.registry import Registry
from harness.trial import Choice


def check_task(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a task's batches: weights, shapes, chance only from the generator."""
    task = registry.build("tasks", choice)
    for length, batch_size in ((32, 1), (45, 3)):
        draw = Draw(length, batch_size)
        place = f"T={length} B={batch_size}"
        if reason := task.refuses(draw):
            yield Finding(str(choice), "gives a batch", place, "skipped", reason)
            continue
        one, two = (task.batch(draw, torch.Generator().manual_seed(SEED)) for _ in range(2))
        total = float(one.weights.double().sum())
        yield finding(choice, "weights sum to 1", place, abs(total - 1) < 1e-5, f"{total:.7g}")
        shape = tuple(one.inputs.shape)
        right = shape == (length, batch_size, task.input_size)
        yield finding(choice, "inputs are (T, B, I)", place, right, f"{shape}")
        again = torch.equal(one.inputs, two.inputs) and torch.equal(one.targets, two.targets)
        yield finding(choice, "the generator decides everything", place, again, "batches differ")
        output = torch.zeros(length, batch_size, task.output_size)
        losses = tuple(task.loss(output, one.targets).shape)
        right = losses == (length, batch_size)
        yield finding(choice, "one loss a prediction", place, right, f"{losses}")
