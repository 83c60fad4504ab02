"""Does a gradient method keep its promises, on every cell and over ragged lengths."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace

import torch
from torch import Tensor

from harness import oracle
from harness.check.finding import SEED, TOLERANCE, Finding
from harness.check.probe import HIDDEN_SIZE, INPUT_SIZE, Probe
from harness.contract import Batch, Clip, Draw, Gradient, GradientMethod, State
from harness.drive import Drive, windows
from harness.measure.scatter import alike_agree
from harness.model import Model
from harness.registry import Registry
from harness.trial import Choice

SHAPES = "gradients have the parameters' names and shapes"
EXACT = "exact: equals the oracle"
UNBIASED = "unbiased: equals the oracle on average"
TRUNCATED = "truncated: equals its own definition"
SUPPORTS = "supports the cell"
UNWINDOWED = 32  # the steps that stand in for a stride where a method has none
UNBIASED_LENGTHS = (2, 7)  # long enough for chance to enter, short enough for its variance
COPIES, RUNS = 64, 24  # draws inside a run, and runs whose spread gives the standard error
MAX_Z = 3.0  # rms over coordinates: about 1 where unbiased; if all move as one, over 3 in 0.6 %


def check_gradient(registry: Registry, choice: Choice) -> Iterator[Finding]:
    """Try a gradient method on every cell there is, over ragged lengths."""
    method = registry.build("gradients", choice)
    longest = 2 * (method.stride or UNWINDOWED) + 3  # two whole windows and a short one
    for plugin in registry.of("cells"):
        torch.manual_seed(SEED)
        cell = registry.build("cells", Choice(plugin.name), INPUT_SIZE, HIDDEN_SIZE)
        model = Model(cell, Probe()).double()
        reason = method.supports(model)
        if reason is not None:
            yield Finding(str(choice), SUPPORTS, plugin.name, "skipped", reason)
            continue
        for length, batch_size in ((1, 1), (2, 3), (7, 2), (longest, 2)):
            fresh = registry.build("gradients", choice)
            attempt = _Attempt(str(choice), plugin.name, fresh, model, length, batch_size)
            yield from attempt.findings()


@dataclass(frozen=True, slots=True)
class _Attempt:
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
        fresh = copy.deepcopy(self.method)  # what it remembers of a sequence changes the next
        found = self.whole(batch, ())
        yield self.finding(SHAPES, self.shapes(found))
        yield self.finding("parameters are left untouched", self.touched(before))
        yield self.finding("the carry holds no graph", self.graph_in_carry(batch))
        rectangles = self.method.keeps(self.length)
        claim = self.method.claim(self.length, self.model.cell)
        if claim == "exact":
            want = oracle.exact_gradient(self.model, batch)
            yield self.finding(EXACT, _difference(found, want))
        elif claim == "unbiased":
            yield self.on_average(batch)
        elif rectangles is not None:
            want = oracle.kept_gradient(self.model, batch, rectangles)
            yield self.finding(TRUNCATED, _difference(found, want))
        if self.method.hooked:
            watched = replace(self, method=fresh).whole(batch, (_Watching(seen_at),))
            missed = set(range(self.length)) - set(seen_at)
            wrong = f"no hook call for t = {sorted(missed)}" if missed else None
            yield self.finding("a hook sees every step", wrong)
            yield self.finding("a hook that changes nothing is free", _difference(watched, found))
            yield self.finding("a hook's change travels on", self.unsilenced(batch))

    def on_average(self, batch: Batch) -> Finding:
        """Return whether the mean of many draws is the oracle's, as far as their spread can tell.

        Each run holds the sequence many times over, so that a method whose chance is each
        sequence's own averages within a run as well.
        """
        if self.length not in UNBIASED_LENGTHS:
            tried = " and ".join(map(str, UNBIASED_LENGTHS))
            return self.undecided(f"averages are tried at T = {tried}")
        copies = Batch(
            batch.inputs.repeat(1, COPIES, 1),
            batch.targets.repeat(1, COPIES, 1),
            batch.weights.repeat(1, COPIES) / COPIES,
        )
        draws = torch.stack([_flat(self.whole(copies, (), seed)) for seed in range(RUNS)])
        exact = _flat(oracle.exact_gradient(self.model, batch))
        off, spread = draws.mean(0) - exact, draws.std(0) / math.sqrt(RUNS)
        certain = spread < TOLERANCE
        if certain.all():
            return self.alike(float(off.norm() / exact.norm()))
        if (off[certain].abs() > TOLERANCE).any():
            return self.finding(UNBIASED, "a parameter that no chance enters is off")
        z = float((off[~certain] / spread[~certain]).square().mean().sqrt())
        said = f"the mean of {RUNS * COPIES} draws is {z:.2g} errors off"
        return self.finding(UNBIASED, None if z <= MAX_Z else said)

    def alike(self, distance: float) -> Finding:
        """Return what runs without any spread say, so far from the oracle in lengths of it."""
        agrees = alike_agree(distance, RUNS)
        if agrees is None:
            return self.undecided(f"no chance entered {RUNS} runs, which are {distance:.2g} off")
        said = f"no chance enters, and it is off by {distance:.2g} of the gradient's norm"
        return self.finding(UNBIASED, None if agrees else said)

    def undecided(self, reason: str) -> Finding:
        """Return that nothing is said of the average, and why."""
        return replace(self.finding(UNBIASED, None), verdict="skipped", detail=reason)

    def whole(self, batch: Batch, clips: tuple[Clip, ...], seed: int = SEED) -> Gradient:
        """Return the gradient of the sequence, driven as a trial drives it."""
        out: list[Gradient] = []
        drive = Drive(
            self.model, self.method, clips, observe=lambda gradient, _: out.append(gradient)
        )
        generator = torch.Generator().manual_seed(seed)
        drive.sequence(batch, drive.begin(batch.inputs.shape[1], generator))
        return out[0]

    def shapes(self, found: Gradient) -> str | None:
        want = {name: tuple(param.shape) for name, param in self.model.named_parameters()}
        got = {name: tuple(grad.shape) for name, grad in found.params.items()}
        return None if got == want else f"got {got}, want {want}"

    def unsilenced(self, batch: Batch) -> str | None:
        """Return which weights of the cell learn although every dL/ds_t was replaced by zeros."""
        silenced = self.whole(batch, (_Silencing(),)).params
        weights = [f"cell.{name}" for name, _ in self.model.cell.named_parameters()]
        learning = [name for name in weights if silenced[name].count_nonzero()]
        return f"{', '.join(learning)}: not 0 after a hook that returns zeros" if learning else None

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


class _Silencing(Clip):
    """Lets nothing travel on."""

    uses_hidden = True

    def hidden(self, t: int, grads: State) -> State:
        return tuple(torch.zeros_like(grad) for grad in grads)


def _flat(gradient: Gradient) -> Tensor:
    return torch.cat([gradient.params[name].flatten() for name in sorted(gradient.params)])


def _difference(got: Gradient, want: Gradient) -> str | None:
    """Return by how much two gradients differ, relatively, where it is more than rounding."""
    for name, grad in want.params.items():
        scale = float(_flat(want).norm())
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
