"""Does a plugin keep its promises: the conformance that `bptt check` and the tests run.

Small problems in float64, ragged on purpose: one step, one sequence, a last window that is shorter
than the rest. Every comparison is with the oracle, or with a second way to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from harness import oracle
from harness.contract import (
    Batch,
    Cell,
    Clip,
    Draw,
    Gradient,
    GradientMethod,
    State,
    Task,
    Trivial,
)
from harness.drive import Drive, windows
from harness.model import Model
from harness.plugin import Kind
from harness.registry import Registry
from harness.trial import Choice

TOLERANCE = 1e-10  # float64 rounding is 1e-16 a step; a wrong term is above 1e-6
SEED = 0
INPUT, HIDDEN, OUTPUT = 3, 5, 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, and whether it was kept."""

    plugin: str
    promise: str
    place: str  # the cell and the sizes it was tried on
    verdict: Literal["kept", "broken", "skipped"]
    detail: str = ""


@dataclass
class Probe(Task):
    """A regression on noise with uneven weights: nothing cancels by accident."""

    score_name: ClassVar[str] = "mean squared error"
    score_better: ClassVar[Literal["lower", "higher"]] = "lower"

    @property
    def input_size(self) -> int:
        return INPUT

    @property
    def output_size(self) -> int:
        return OUTPUT

    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        sizes = (draw.length, draw.batch_size)
        weights = torch.rand(sizes, generator=generator)
        inputs = torch.randn(*sizes, INPUT, generator=generator)
        targets = torch.randn(*sizes, OUTPUT, generator=generator)
        return Batch(inputs, targets, weights / weights.sum())

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().mean(-1)

    def score(self, outputs: Tensor, batch: Batch) -> float:
        return float(self.loss(outputs, batch.targets).mean())

    def trivial(self, length: int) -> Trivial:
        return Trivial(1.0, "Var(target) = 1")

    def solved(self, length: int) -> float:
        return 0.0


def check(registry: Registry, kind: Kind, choice: Choice) -> tuple[Finding, ...]:
    """Return a finding for every promise of the plugin `choice` of `kind`."""
    checks: dict[str, Callable[[Registry, Choice], Iterator[Finding]]] = {
        "gradients": check_gradient,
        "clips": check_clip,
        "cells": check_cell,
        "tasks": check_task,
    }
    return tuple(checks[kind](registry, choice))


def check_gradient(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a gradient method on every cell there is, over ragged lengths."""
    method: GradientMethod = registry.build("gradients", choice)
    longest = 2 * (method.stride or 8) + 3  # two whole windows and a short one
    for plugin in registry.of("cells"):
        torch.manual_seed(SEED)
        cell: Cell = registry.build("cells", Choice(plugin.name), INPUT, HIDDEN)
        model = Model(cell, Probe()).double()
        reason = method.supports(model)
        if reason is not None:
            yield Finding(str(choice), "supports the cell", plugin.name, "skipped", reason)
            continue
        for length, batch_size in ((1, 1), (2, 3), (7, 2), (longest, 2)):
            fresh: GradientMethod = registry.build("gradients", choice)
            trial = _Trial(str(choice), plugin.name, fresh, model, length, batch_size)
            yield from trial.findings()


@dataclass(frozen=True, slots=True)
class _Trial:
    """One gradient method on one cell with one length and batch size."""

    plugin: str
    cell: str
    method: GradientMethod
    model: Model
    length: int
    batch_size: int

    def finding(self, promise: str, broken: str | None) -> Finding:
        place = f"{self.cell} T={self.length} B={self.batch_size}"
        return Finding(self.plugin, promise, place, "broken" if broken else "kept", broken or "")

    def batch(self) -> Batch:
        generator = torch.Generator().manual_seed(SEED)
        batch = self.model.task.batch(Draw(self.length, self.batch_size), generator)
        return batch.to(torch.device("cpu"), torch.float64)

    def findings(self) -> Iterator[Finding]:
        """Yield every promise's finding."""
        batch, seen_at = self.batch(), list[int]()
        before = {name: param.clone() for name, param in self.model.named_parameters()}
        found = self.whole(batch, ())
        yield self.finding("gradients have the parameters' names and shapes", self.shapes(found))
        yield self.finding("parameters are left untouched", self.touched(before))
        yield self.finding("the carry holds no graph", self.graph_in_carry(batch))
        rectangles = self.method.keeps(self.length)
        if self.method.exact(self.length):
            want = oracle.exact_gradient(self.model, batch)
            yield self.finding("exact: equals the oracle", _difference(found, want))
        elif rectangles is not None:
            want = oracle.kept_gradient(self.model, batch, rectangles)
            yield self.finding("truncated: equals its own definition", _difference(found, want))
        if self.method.hooked:
            watched = self.whole(batch, (_Watching(seen_at),))
            missed = set(range(self.length)) - set(seen_at)
            wrong = f"no hook call for t = {sorted(missed)}" if missed else None
            yield self.finding("a hook sees every step", wrong)
            yield self.finding("a hook that changes nothing is free", _difference(watched, found))

    def whole(self, batch: Batch, clips: tuple[Clip, ...]) -> Gradient:
        """Return the gradient of the sequence, driven as a trial drives it."""
        out: list[Gradient] = []
        drive = Drive(
            self.model, self.method, clips, observe=lambda gradient, _: out.append(gradient)
        )
        drive.sequence(batch, drive.begin(self.batch_size, torch.Generator().manual_seed(SEED)))
        return out[0]

    def shapes(self, found: Gradient) -> str | None:
        want = {name: tuple(param.shape) for name, param in self.model.named_parameters()}
        got = {name: tuple(grad.shape) for name, grad in found.params.items()}
        return None if got == want else f"got {got}, want {want}"

    def touched(self, before: dict[str, Tensor]) -> str | None:
        for name, param in self.model.named_parameters():
            if param.grad is not None:
                return f"{name}.grad was written"
            if not torch.equal(param, before[name]):
                return f"{name} was changed"
        return None

    def graph_in_carry(self, batch: Batch) -> str | None:
        generator = torch.Generator().manual_seed(SEED)
        carry = self.method.begin(self.model, self.batch_size, generator)
        for window in windows(batch, self.method.stride):
            _, carry = self.method.gradient(self.model, window, carry)
        held = [tensor for tensor in _tensors(carry) if tensor.requires_grad]
        return f"{len(held)} tensors of the carry require a gradient" if held else None


class _Watching(Clip):
    """Notes the steps it sees and changes nothing."""

    uses_hidden = True

    def __init__(self, seen_at: list[int]) -> None:
        self.seen_at = seen_at

    def hidden(self, t: int, grads: State) -> State:
        self.seen_at.append(t)
        return grads


def check_clip(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a clip on a short and a long gradient."""
    generator = torch.Generator().manual_seed(SEED)
    params = {"w": torch.randn(4, 3, generator=generator), "b": torch.randn(4, generator=generator)}
    state = (torch.randn(2, HIDDEN, generator=generator),) * 2
    for scale in (1e-6, 1e6):
        clip: Clip = registry.build("clips", choice)
        grads = {name: scale * param for name, param in params.items()}
        kept = {name: grad.clone() for name, grad in grads.items()}
        out = clip.params(grads, params)
        sent = clip.hidden(0, tuple(scale * part for part in state))
        place = f"gradient times {scale:g}"
        shapes = {name: grad.shape for name, grad in out.items()}
        same = shapes == {name: param.shape for name, param in params.items()}
        same = same and [part.shape for part in sent] == [part.shape for part in state]
        yield _finding(choice, "names and shapes are kept", place, same, f"got {shapes}")
        untouched = all(torch.equal(kept[name], grads[name]) for name in kept)
        yield _finding(choice, "its arguments are left untouched", place, untouched, "changed")
        finite = all(bool(grad.isfinite().all()) for grad in [*out.values(), *sent])
        yield _finding(choice, "finite gradients stay finite", place, finite, "not finite")


def check_cell(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a cell's step against finite differences, and its fused kernel against its step."""
    torch.manual_seed(SEED)
    cell: Cell = registry.build("cells", choice, INPUT, HIDDEN)
    cell = cell.double()
    for length, batch_size in ((1, 1), (6, 2)):
        place = f"T={length} B={batch_size}"
        inputs = torch.randn(length, batch_size, INPUT, dtype=torch.float64)
        zero = torch.zeros(batch_size, HIDDEN, dtype=torch.float64)
        state: State = (zero,) * cell.parts
        step = cell.advance(inputs[0], state)
        shapes = [tuple(part.shape) for part in step]
        same = shapes == [(batch_size, HIDDEN)] * cell.parts
        yield _finding(choice, "a state is `parts` tensors of (B, H)", place, same, f"{shapes}")
        free = [part.detach().requires_grad_() for part in (inputs[0], *step)]
        right = torch.autograd.gradcheck(
            lambda x, *parts: cell.advance(x, parts), free, raise_exception=False
        )
        yield _finding(choice, "its derivative is right", place, right, "gradcheck disagrees")
        if cell.fused:
            yield _fused_finding(choice, cell, inputs, state, place)


def _fused_finding(choice: Choice, cell: Cell, inputs: Tensor, state: State, place: str) -> Finding:
    outputs, last = cell.unroll(inputs, state)
    looped = []
    for x in inputs:
        state = cell.advance(x, state)
        looped.append(state[0])
    error = float((outputs - torch.stack(looped)).abs().max())
    error = max(error, *(float((a - b).abs().max()) for a, b in zip(last, state, strict=True)))
    said = f"largest difference {error:.2g}"
    return _finding(choice, "unroll equals advance", place, error <= TOLERANCE, said)


def check_task(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a task's batches: weights, shapes, chance only from the generator."""
    task: Task = registry.build("tasks", choice)
    for length, batch_size in ((32, 1), (45, 3)):
        draw = Draw(length, batch_size)
        place = f"T={length} B={batch_size}"
        if reason := task.refuses(draw):
            yield Finding(str(choice), "gives a batch", place, "skipped", reason)
            continue
        one, two = (task.batch(draw, torch.Generator().manual_seed(SEED)) for _ in range(2))
        total = float(one.weights.double().sum())
        yield _finding(choice, "weights sum to 1", place, abs(total - 1) < 1e-5, f"{total:.7g}")
        shape = tuple(one.inputs.shape)
        right = shape == (length, batch_size, task.input_size)
        yield _finding(choice, "inputs are (T, B, I)", place, right, f"{shape}")
        again = torch.equal(one.inputs, two.inputs) and torch.equal(one.targets, two.targets)
        yield _finding(choice, "the generator decides everything", place, again, "batches differ")
        output = torch.zeros(length, batch_size, task.output_size)
        losses = tuple(task.loss(output, one.targets).shape)
        right = losses == (length, batch_size)
        yield _finding(choice, "one loss a prediction", place, right, f"{losses}")


def _finding(choice: Choice, promise: str, place: str, kept: bool, said: str) -> Finding:
    return Finding(str(choice), promise, place, "kept" if kept else "broken", "" if kept else said)


def _difference(got: Gradient, want: Gradient) -> str | None:
    """Return by how much two gradients differ, relatively, where it is more than rounding."""
    for name, grad in want.params.items():
        scale = float(torch.cat([g.flatten() for g in want.params.values()]).norm())
        error = float((got.params[name] - grad).norm()) / max(scale, 1e-300)
        if not error <= TOLERANCE:
            return f"{name} is off by {error:.2g} of the gradient's norm"
    error = abs(float(got.loss - want.loss)) / max(abs(float(want.loss)), 1e-300)
    return None if error <= TOLERANCE else f"the loss is off by {error:.2g}, relatively"


def _tensors(carry: object) -> Iterator[Tensor]:
    if isinstance(carry, Tensor):
        yield carry
    elif isinstance(carry, dict):
        for value in carry.values():
            yield from _tensors(value)
    elif isinstance(carry, (list, tuple)):
        for value in carry:
            yield from _tensors(value)
    elif is_dataclass(carry):
        for part in fields(carry):
            yield from _tensors(getattr(carry, part.name))
