"""What is true of the gradient methods that cut, some at random: sums over every way to cut."""

import itertools
import math
from collections.abc import Iterator
from functools import reduce
from types import ModuleType
from typing import Any

import pytest
import torch
from problems import CELLS, batch_of, gradient_by, model_of, relative_error

from harness.contract import Batch, Cell, Gradient, GradientMethod, Gradients, State
from harness.drive import add
from harness.model import Model
from harness.oracle import exact_gradient, unroll
from implementations.gradients import _telescoping

ROUNDING = 1e-13  # float64, a weighted sum of a hundred gradients


def windows_unrolled_alone(model: Model, batch: Batch, stride: int, depth: int) -> Gradients:
    """Return the sum of each window's gradient, its last `depth` steps a graph of their own."""
    total: Gradients = {}
    for first in range(0, len(batch), stride):
        end = min(first + stride, len(batch))
        back = max(0, end - depth)
        states = unroll(model, batch.window(0, back)).states if back else []
        start = states[-1] if states else model.initial_state(batch.inputs.shape[1])
        hidden, _ = model.roll(batch.inputs[back:end], tuple(part.detach() for part in start))
        own = batch.window(first, end)
        loss = model.loss(hidden[first - back :], own.targets, own.weights)
        grads = model.gradient_of(loss).params
        total = {name: total.get(name, 0) + grad for name, grad in grads.items()}
    return total


def truncation_is_each_window_unrolled_alone(module: ModuleType) -> None:
    model, batch = model_of("lstm"), batch_of(12)
    for stride, depth in ((12, 12), (4, 4), (5, 5), (1, 5), (3, 6), (5, 10), (3, 8)):
        got = gradient_by(module.TruncatedBPTT(stride, depth), model, batch)
        want = windows_unrolled_alone(model, batch, stride, depth)
        assert relative_error(got, want) < ROUNDING


def ways(length: int) -> Iterator[list[int]]:
    """Yield the segments of every one of the 2^(T − 1) ways to cut."""
    for cuts in itertools.product([False, True], repeat=length - 1):
        at = [0, *(t for t, cut in enumerate(cuts, 1) if cut), length]
        yield [last - first for first, last in itertools.pairwise(at)]


def probability(method: Any, segments: list[int]) -> float:
    """Return how likely a way is: no cut within a segment, one behind each but the last."""
    within = [1 - method.hazard(step) for steps in segments for step in range(1, steps)]
    return math.prod(within) * math.prod(map(method.hazard, segments[:-1]))


def gradient_of_way(method: Any, model: Model, batch: Batch, segments: list[int]) -> Gradients:
    """Return ARTBP's gradient where chance cuts so."""
    state, first = model.initial_state(batch.inputs.shape[1]), 0
    found: list[Gradient] = []
    for steps in segments:
        loss, state = method.through(model, batch.window(first, first + steps), state, None)
        found.append(model.gradient_of(loss))
        first += steps
    return reduce(add, found).params


def mean_over_ways(method: Any, model: Model, batch: Batch) -> Gradients:
    """Return ARTBP's expectation."""
    total: Gradients = {}
    for segments in ways(len(batch)):
        chance, grads = (
            probability(method, segments),
            gradient_of_way(method, model, batch, segments),
        )
        total = {name: total.get(name, 0) + chance * grad for name, grad in grads.items()}
    return total


def artbp_averages_to_full_bptt(module: ModuleType) -> None:
    for cell in CELLS:
        model, batch = model_of(cell), batch_of(4)
        mean = mean_over_ways(module.ARTBP(2.5, 4.0), model, batch)
        assert relative_error(mean, exact_gradient(model, batch).params) < ROUNDING


def artbp_has_segments_of_the_mean_length(module: ModuleType) -> None:
    """The mean is Σ P(length > l); what lies beyond 20,000 steps, l^-(α-2), is under 1e-6."""
    for mean, alpha in ((50.0, 6.0), (3.0, 4.0)):
        method, survives, total = module.ARTBP(mean, alpha), 1.0, 1.0
        for steps in range(1, 20_000):
            survives *= 1 - method.hazard(steps)
            total += survives
        assert total == pytest.approx(mean, rel=1e-6)


def artbp_cuts_by_its_hazard(module: ModuleType) -> None:
    """Four standard deviations of a share of 3000 draws."""
    method, generator = module.ARTBP(2.0, 4.0), torch.Generator().manual_seed(0)
    seen = [list(method.segments(4, generator)) for _ in range(3000)]
    for segments in ways(4):
        chance = probability(method, segments)
        spread = math.sqrt(chance * (1 - chance) / 3000)
        assert seen.count(segments) / 3000 == pytest.approx(chance, abs=4 * spread)


def drawn(method: GradientMethod, model: Model, batch: Batch, n: int) -> Gradients:
    """Return a telescoping method's gradient where chance says N = n."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_telescoping, "draw", lambda chances, generator: n)
        return gradient_by(method, model, batch)


def mean_over_horizons(method: Any, model: Model, batch: Batch) -> Gradients:
    """Return a telescoping method's expectation, by the law that it draws N from."""
    laws: list[list[float]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_telescoping, "draw", lambda chances, generator: laws.append(chances) or 1)
        gradient_by(method, model, batch)
    total: Gradients = {}
    for n, chance in enumerate(laws[0], 1):
        grads = drawn(method, model, batch, n)
        total = {name: total.get(name, 0) + chance * grad for name, grad in grads.items()}
    return total


def _telescoping_averages_to_full_bptt(make: type[Any]) -> None:
    for shortest, ratio in ((1, 0.5), (3, 0.7)):
        model, batch = model_of("lstm"), batch_of(9)
        mean = mean_over_horizons(make(shortest, ratio), model, batch)
        assert relative_error(mean, exact_gradient(model, batch).params) < ROUNDING


def roulette_averages_to_full_bptt(module: ModuleType) -> None:
    _telescoping_averages_to_full_bptt(module.TelescopingRoulette)


def single_sample_averages_to_full_bptt(module: ModuleType) -> None:
    _telescoping_averages_to_full_bptt(module.TelescopingSingle)


def messages(model: Model, batch: Batch, stride: int) -> list[State]:
    """Return dL_later/ds at the end of every window, from one graph of the whole sequence."""
    graph, length, found = unroll(model, batch), len(batch), []
    for first in range(0, length, stride):
        end = min(first + stride, length)
        later = end < length
        adjoints = graph.adjoints(end, length, end - 1) if later else [graph.states[-1]]
        found.append(tuple(part.detach() * later for part in adjoints[0]))
    return found


class Oracle:
    """Guesses that are true, up to a factor; what it is told it writes down."""

    def __init__(self, model: Model, batch: Batch, stride: int, factor: float = 1.0) -> None:
        self.true, self.factor = messages(model, batch, stride), factor
        self.told: list[tuple[State, State]] = []

    def guess(self, cell: Cell, state: State) -> State:
        """Return the next window's message."""
        return tuple(self.factor * part for part in self.true.pop(0))

    def learn(self, cell: Cell, state: State, message: State) -> None:
        """Write down what came."""
        self.told.append((state, message))


def dni_with_true_guesses_is_full_bptt(module: ModuleType) -> None:
    for stride, length in ((1, 7), (3, 7), (4, 8), (8, 7)):
        model, batch, method = model_of("lstm"), batch_of(length), module.DNI(stride)
        method.synthetic = Oracle(model, batch, stride)
        got = gradient_by(method, model, batch)
        assert relative_error(got, exact_gradient(model, batch).params) < ROUNDING


def dni_is_told_the_message_that_should_have_come(module: ModuleType) -> None:
    """The true message at a window's end, and 0 at the end of a sequence that is over."""
    model, batch, method = model_of("lstm"), batch_of(8), module.DNI(4)
    method.synthetic = oracle = Oracle(model, batch, 4)
    gradient_by(method, model, batch)
    oracle.true = messages(model, batch, 4)
    gradient_by(method, model, batch)
    states = unroll(model, batch).states
    for told, at, want in zip(oracle.told, (3, 7, 3), messages(model, batch, 4) * 2, strict=False):
        for got, right in ((told[0], states[at]), (told[1], want)):
            for part, true in zip(got, right, strict=True):
                assert (part - true).abs().max() < ROUNDING


def dni_learns_a_linear_message(module: ModuleType) -> None:
    generator, cell = torch.Generator().manual_seed(0), model_of("elman", 3).cell
    state = (torch.randn(64, 3, generator=generator, dtype=torch.float64),)
    weight = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    for scale in (1e-6, 1e3):
        (want,) = module.Synthetic(scale * weight, 0.0).guess(cell, state)
        learner = module.Synthetic(torch.zeros_like(weight), 1.0)
        for _ in range(60):
            learner.learn(cell, state, (want,))
        assert (learner.guess(cell, state)[0] - want).norm() < 1e-3 * want.norm()


def adaptive_depth_is_the_closed_form(module: ModuleType) -> None:
    """ceil(log(δ/(1 + δ))/log β), the onset before, at and behind it."""
    for rate, bias, depth in ((0.9, 0.1, 23), (0.95, 0.1, 47), (0.99, 0.5, 110)):
        powers = rate ** torch.arange(128, dtype=torch.float64)
        along = powers.view(-1, 1, 1) * torch.tensor([[[0.6, 0.8]]], dtype=torch.float64)
        assert math.ceil(math.log(bias / (1 + bias)) / math.log(rate)) == depth
        for onset in (0, 8, 60):
            assert module.AdaptiveTruncation(bias, onset=onset).depth(along) == depth


TRUNCATION = {  # plugin -> sentence -> the function that asserts it
    "gradients/truncated_bptt": {
        "is each window unrolled alone": truncation_is_each_window_unrolled_alone
    },
    "gradients/artbp": {
        "averages to full BPTT over every way to cut": artbp_averages_to_full_bptt,
        "has segments of the mean length": artbp_has_segments_of_the_mean_length,
        "cuts by its hazard": artbp_cuts_by_its_hazard,
    },
    "gradients/telescoping_roulette": {
        "averages to full BPTT over every N": roulette_averages_to_full_bptt
    },
    "gradients/telescoping_single": {
        "averages to full BPTT over every sample": single_sample_averages_to_full_bptt
    },
    "gradients/dni": {
        "with true guesses is full BPTT": dni_with_true_guesses_is_full_bptt,
        "is told the message that should have come": dni_is_told_the_message_that_should_have_come,
        "learns a linear message": dni_learns_a_linear_message,
    },
    "gradients/adaptive_truncation": {
        "is as deep as the closed form": adaptive_depth_is_the_closed_form
    },
}
