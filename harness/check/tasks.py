"""Does a task keep its promises: its batches, its scores, and what its splits and streams are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch

from harness.check.finding import SEED, Finding, finding
from harness.contract import Batch, Draw, Split, Task
from harness.registry import Registry
from harness.trial import Choice

SPLITS: tuple[Split, ...] = ("train", "valid")


def check_task(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try what a task draws, how it scores, and how its batches follow one another."""
    task = registry.build("tasks", choice)
    for length, batch_size in ((32, 1), (45, 3)):
        for split in SPLITS:
            draw = Draw(length, batch_size, split=split)
            if reason := task.refuses(draw):
                yield Finding(str(choice), "gives a batch", _place(draw), "skipped", reason)
                continue
            yield from _batch_findings(choice, task, draw)
            if task.stateful:
                yield from _stream_findings(choice, task, draw)
        yield from _score_findings(choice, task, length)
        if task.packs:
            yield from _split_findings(choice, task, Draw(length, batch_size))


def _place(draw: Draw) -> str:
    return f"T={draw.length} B={draw.batch_size} {draw.split}"


def _batch(task: Task, draw: Draw) -> Batch:
    """Return the batch of one and the same chance: what differs, differs by the draw."""
    return task.batch(draw, torch.Generator().manual_seed(SEED))


def _batch_findings(choice: Choice, task: Task, draw: Draw) -> Iterator[Finding]:
    """Yield whether a batch is one that every method can be given."""
    place, sizes = _place(draw), (draw.length, draw.batch_size)
    one, two = _batch(task, draw), _batch(task, draw)
    total = float(one.weights.double().sum())
    yield finding(choice, "weights sum to 1", place, abs(total - 1) < 1e-5, f"{total:.7g}")
    shape = tuple(one.inputs.shape)
    right = shape == (*sizes, task.input_size)
    yield finding(choice, "inputs are (T, B, I)", place, right, f"{shape}")
    again = torch.equal(one.inputs, two.inputs) and torch.equal(one.targets, two.targets)
    yield finding(choice, "the generator decides everything", place, again, "batches differ")
    outputs = torch.zeros(*sizes, task.output_size)
    losses = tuple(task.loss(outputs, one.targets).shape)
    yield finding(choice, "one loss a prediction", place, losses == sizes, f"{losses}")
    score = task.score(outputs, one)
    yield finding(choice, "a score is a finite number", place, _finite(score), f"{score!r}")


def _score_findings(choice: Choice, task: Task, length: int) -> Iterator[Finding]:
    """Yield whether the scores that training is judged by can be drawn and reached."""
    place, trivial, solved = f"T={length}", task.trivial(length), task.solved(length)
    told = _finite(trivial.score) and bool(trivial.formula.strip())
    promise = "the trivial score is a finite number with its formula"
    yield finding(choice, promise, place, told, f"{trivial}")
    yield finding(choice, "solved is a finite number", place, _finite(solved), f"{solved!r}")
    beaten = solved < trivial.score if task.score_better == "lower" else solved > trivial.score
    said = f"{solved:g} against {trivial.score:g}, where {task.score_better} is better"
    yield finding(choice, "solved is better than trivial", place, beaten, said)


def _stream_findings(choice: Choice, task: Task, draw: Draw) -> Iterator[Finding]:
    """Yield whether the batch of index 1 reads on where that of index 0 ends."""
    place, first, second = _place(draw), _batch(task, draw), _batch(task, replace(draw, index=1))
    moved = not torch.equal(first.inputs, second.inputs)
    yield finding(choice, "a stateful task moves on", place, moved, "batches 0 and 1 are the same")
    if _asks_for_what_comes_next(task, first):
        continued = torch.equal(second.inputs[0].argmax(-1), first.targets[-1])
        said = "batch 1 does not begin with the last target of batch 0"
        yield finding(choice, "a stateful task reads on", place, continued, said)


def _asks_for_what_comes_next(task: Task, batch: Batch) -> bool:
    """Return whether a target is the class of the next input, as in a language model."""
    classes = not batch.targets.is_floating_point() and batch.targets.dim() == 2  # (T, B)
    one_hot = bool(((batch.inputs == 0) | (batch.inputs == 1)).all())
    one_hot = one_hot and bool((batch.inputs.sum(-1) == 1).all())
    return task.input_size == task.output_size and classes and one_hot


def _split_findings(choice: Choice, task: Task, draw: Draw) -> Iterator[Finding]:
    """Yield whether the two parts of a data pack differ: by chance alone they would not."""
    valid = replace(draw, split="valid")
    if task.refuses(draw) or task.refuses(valid):
        return
    place = f"T={draw.length} B={draw.batch_size}"
    apart = not torch.equal(_batch(task, draw).inputs, _batch(task, valid).inputs)
    yield finding(choice, "the valid split is its own", place, apart, "it is the train split")


def _finite(number: object) -> bool:
    return isinstance(number, float) and math.isfinite(number)
