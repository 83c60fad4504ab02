"""What is true of methods that go forward in time: definitions by autograd, sums over chance."""

import itertools
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import torch
from every_cell import EVERY_CELL, model_with
from problems import RAGGED, batch_of, flat, gradient_by, model_of, relative_error
from torch import Tensor

from harness import derivative
from harness.contract import Batch, GatedCell, GradientMethod, Gradients
from harness.model import Model
from harness.oracle import exact_gradient
from implementations.gradients.snap1 import SnAp1

ROUNDING = 1e-13  # float64 over two dozen steps; a dropped term is above 1e-4


def gated() -> Iterator[Model]:
    """Yield a model of every cell that works unit by unit."""
    models = map(model_with, EVERY_CELL)
    yield from (model for model in models if isinstance(model.cell, GatedCell))


def cut(model: Model, batch: Batch) -> tuple[list[Tensor], Gradients]:
    """Return every step's h with h detached where it enters the map, and autograd's gradient."""
    cell = model.cell
    assert isinstance(cell, GatedCell)
    state, outputs = model.initial_state(batch.inputs.shape[1]), []
    for x in batch.inputs:
        state = cell.gate(cell.from_input(x), cell.from_hidden(state[0].detach()), state)
        outputs.append(state[0])
    loss = model.loss(torch.stack(outputs), batch.targets, batch.weights)
    return outputs, torch_gradient(model, loss)


def torch_gradient(model: Model, loss: Tensor) -> Gradients:
    named = dict(model.named_parameters())
    grads = torch.autograd.grad(
        loss, list(named.values()), retain_graph=True, materialize_grads=True
    )
    return dict(zip(named, grads, strict=True))


def masked(model: Model, batch: Batch, kept: Tensor) -> Gradients:
    """Return RTRL's gradient by autograd of every step, the influence masked after each.

    `kept` (H, H) says whose weights' influence, column, is kept on which unit's state, row.
    """
    cell, size = model.cell, model.cell.hidden_size
    state = derivative.join(model.initial_state(batch.inputs.shape[1]))
    influence: Gradients = {}
    total: Gradients = {}
    for x, target, weight in zip(batch.inputs, batch.targets, batch.weights, strict=True):
        jacobian = derivative.jacobian(cell, x, state)
        for name, now in derivative.influence(cell, x, state).items():
            before = influence.get(name, torch.zeros_like(now))
            moved = torch.einsum("bij,bj...->bi...", jacobian, before) + now
            on, of = torch.arange(moved.shape[1]) % size, torch.arange(moved.shape[2]) % size
            mask = kept[on][:, of].view(1, *moved.shape[1:3], *[1] * (moved.ndim - 3))
            influence[name] = moved * mask
        with torch.no_grad():
            state = derivative.join(model.advance(x, derivative.split(cell, state)))
        output, error = model.at_output(state[:, :size], target, weight)
        here = {n: torch.tensordot(error, m[:, :size], 2) for n, m in influence.items()}
        here |= output.params
        total = {name: total.get(name, 0) + grad for name, grad in here.items()}
    return total


def eprop_is_autograd_with_a_path_cut(module: ModuleType) -> None:
    for model in gated():
        for sizes in RAGGED:
            batch = batch_of(*sizes)
            found = gradient_by(module.EProp(), model, batch)
            assert relative_error(found, cut(model, batch)[1]) < ROUNDING


def snap_1_is_rtrl_masked_to_the_own_unit(module: ModuleType) -> None:
    for model in gated():
        for sizes in ((1, 1), (5, 2)):
            batch = batch_of(*sizes)
            found = gradient_by(module.SnAp1(), model, batch)
            assert relative_error(found, masked(model, batch, torch.eye(5))) < ROUNDING


def rtrl_is_full_bptt(module: ModuleType) -> None:
    for model in map(model_with, EVERY_CELL):
        batch = batch_of(5)
        found = gradient_by(module.RTRL(), model, batch)
        assert relative_error(found, exact_gradient(model, batch).params) < ROUNDING


def snap_of_order_1_is_the_diagonal_trace(module: ModuleType) -> None:
    for model in gated():
        for sizes in ((1, 1), (6, 2)):
            batch = batch_of(*sizes)
            found = gradient_by(module.SnAp(order=1), model, batch)
            assert relative_error(found, gradient_by(SnAp1(), model, batch)) < ROUNDING


def snap_2_of_dense_weights_is_full_bptt(module: ModuleType) -> None:
    for model in gated():
        for sizes in ((1, 1), (6, 2)):
            batch = batch_of(*sizes)
            found = gradient_by(module.SnAp(order=2), model, batch)
            assert relative_error(found, exact_gradient(model, batch).params) < ROUNDING


def along(edges: Tensor, cell: str) -> Model:
    """Return a model whose units see one another along the edges, (H, H), and themselves."""
    model = model_of(cell)
    assert isinstance(model.cell, GatedCell)
    assert model.cell.hidden_map is not None
    with torch.no_grad():
        weight = model.cell.get_parameter(model.cell.hidden_map.weight)
        weight.view(-1, 5, 5).mul_(edges + torch.eye(5))
    return model


RING = torch.eye(5).roll(1, 0)
PATH = RING.tril()  # unit i sees i - 1; its diameter is 4


def snap_is_rtrl_masked_by_distance(module: ModuleType) -> None:
    edges = RING.clone()
    edges[2, 0] = 1  # a short cut: not all units reach as many
    for cell, order in (("elman", 2), ("elman", 3), ("gru", 2), ("lstm", 2)):
        model, batch = along(edges, cell), batch_of(6)
        kept = torch.linalg.matrix_power(edges + torch.eye(5), order - 1) > 0
        found = gradient_by(module.SnAp(order=order), model, batch)
        assert relative_error(found, masked(model, batch, kept.double())) < ROUNDING


def snap_beyond_the_diameter_is_full_bptt(module: ModuleType) -> None:
    for cell in ("elman", "gru", "lstm"):
        model, batch = along(PATH, cell), batch_of(9)
        exact = exact_gradient(model, batch).params
        errors = [
            relative_error(gradient_by(module.SnAp(order=order), model, batch), exact)
            for order in (4, 5)
        ]
        assert errors[1] < ROUNDING
        assert errors[0] > 1e-9  # the last unit of the path misses the first one's weights


def with_one_sum() -> list[Model]:
    return [model_with(cell) for cell in ("elman", "leaky", "irnn")]


def rflo_is_autograd_with_a_path_cut(module: ModuleType) -> None:
    for model in with_one_sum():
        for sizes in RAGGED:
            batch = batch_of(*sizes)
            found = gradient_by(module.RFLO("symmetric"), model, batch)
            assert relative_error(found, cut(model, batch)[1]) < ROUNDING


def rflo_is_autograd_with_another_feedback(module: ModuleType) -> None:
    for model in with_one_sum():
        batch, method = batch_of(7), module.RFLO()
        chances = (torch.Generator().manual_seed(seed) for seed in range(2))
        begun = [method.begin(model, 2, chance) for chance in chances]
        found, again = (method.gradient(model, batch, carry)[0].params for carry in begun)
        first = module.RFLO()
        first.begin(model, 2, torch.Generator().manual_seed(0))
        assert torch.equal(method.drawn, first.drawn)  # F stays as the first sequence drew it
        assert relative_error(again, found) == 0.0
        outputs, symmetric = cut(model, batch)
        hidden = torch.stack(outputs)
        output = model.readout(hidden)
        (error,) = torch.autograd.grad(
            model.loss_of(output, batch.targets, batch.weights), output, retain_graph=True
        )
        want = torch_gradient(model, ((error @ method.drawn).detach() * hidden).sum())
        want |= {name: grad for name, grad in symmetric.items() if name.startswith("readout")}
        assert relative_error(found, want) < ROUNDING


def averaged(
    module: ModuleType, method: GradientMethod, model: Model, batch: Batch, coins: int
) -> Gradients:
    """Return the mean over all values of `coins` signs a step, of one sequence.

    Every sequence of a large batch has signs of its own; steps before the last few that matter
    have none to choose, and `coins` counts from the end.
    """
    assert batch.inputs.shape[1] == 1
    every = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=coins))).double()
    copies = len(every)
    many = Batch(
        batch.inputs.repeat(1, copies, 1),
        batch.targets.repeat(1, copies, 1),
        batch.weights.repeat(1, copies) / copies,
    )
    left = every

    def next_signs(like: Tensor, generator: torch.Generator) -> Tensor:
        nonlocal left
        taken, left = left[:, : like.shape[1]], left[:, like.shape[1] :]
        return taken.reshape(like.shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "signs", next_signs)
        found = gradient_by(method, model, many)
    assert left.numel() == 0, "every sign was taken"
    return found


def averages_to_full_bptt(
    module: ModuleType, method: GradientMethod, model: Model, length: int, coins: int
) -> None:
    batch = batch_of(length, 1)
    found = averaged(module, method, model, batch, coins * length)
    assert relative_error(found, exact_gradient(model, batch).params) < 1e-12  # sums of a thousand


def uoro_averages_to_full_bptt(module: ModuleType) -> None:
    for cell, length, state in (("elman", 4, 2), ("gru", 4, 2), ("lstm", 2, 4)):
        averages_to_full_bptt(module, module.UORO(), model_of(cell, 2), length, state)


def kf_averages_to_full_bptt(module: ModuleType) -> None:
    for model in gated():
        averages_to_full_bptt(module, module.KFRTRL(), model, 6, 1)


def ok_averages_to_full_bptt(module: ModuleType) -> None:
    for model in gated():
        averages_to_full_bptt(module, module.OK(1), model, 4, 2)
    averages_to_full_bptt(module, module.OK(2), model_of("elman", 2), 4, 3)


def ok_mixes_to_the_singular_values(module: ModuleType) -> None:
    coins = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4))).double()
    for values in ((4.0, 3, 3, 2), (9, 3, 3, 2), (9, 8, 2, 1), (9, 8, 2, 0), (0, 0, 0, 0)):
        sigma = torch.tensor(values, dtype=torch.float64)  # 0, 1, 2 and 2 of them are kept
        mix = module.mixing(sigma.expand(len(coins), -1), coins)  # (16, 4, 3)
        assert torch.allclose((mix @ mix.mT).mean(0), torch.diag(sigma), atol=ROUNDING)


def ok_of_enough_rank_is_exact_for_one_sample(module: ModuleType) -> None:
    for model in gated():
        for rank, length in ((4, 4), (9, 12)):  # as many as steps; as many as entries of [x; h; 1]
            batch = batch_of(length)
            found = gradient_by(module.OK(rank), model, batch)
            assert relative_error(found, exact_gradient(model, batch).params) < ROUNDING


def forward_gradient_sums_to_the_gradient_over_a_basis(module: ModuleType) -> None:
    for cell in ("elman", "lstm"):
        model, batch = model_of(cell, 2), batch_of(4)
        exact = exact_gradient(model, batch).params
        axes = torch.randn(len(flat(exact)), len(flat(exact)), dtype=torch.float64)
        total = torch.zeros(len(axes), dtype=torch.float64)
        for axis in torch.linalg.qr(axes).Q.T:
            v = shaped(axis, exact)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(module, "direction", lambda *_, v=v: v)
                total += flat(gradient_by(module.ForwardGradient(), model, batch))
        assert float((total - flat(exact)).norm() / flat(exact).norm()) < ROUNDING


def shaped(vector: Tensor, like: Gradients) -> Gradients:
    """Return the entries of `vector` in the shapes of `like`, in the order of `flat`."""
    names = sorted(like)
    pieces = vector.split([like[name].numel() for name in names])
    found = dict(zip(names, pieces, strict=True))
    return {name: found[name].view_as(grad) for name, grad in like.items()}


def forward_gradient_has_the_variance_of_theory(module: ModuleType) -> None:
    model = model_of("elman", 2)
    exact = flat(exact_gradient(model, batch_of(4)).params)
    source = torch.Generator().manual_seed(0)
    v = torch.stack([flat(module.direction(model, source)) for _ in range(4000)])
    off = (v @ exact).unsqueeze(1) * v - exact
    found = float(off.square().sum(1).mean() / exact.square().sum())
    assert found == pytest.approx(len(exact) + 1, rel=0.1)  # one standard error is 2.5 %


def random_gradient_has_the_lengths_and_no_direction(module: ModuleType) -> None:
    model, batch = model_of("gru"), batch_of(7)
    exact, method = exact_gradient(model, batch).params, module.RandomGradient()
    source, cosines = torch.Generator().manual_seed(0), []
    for _ in range(100):
        found = method.gradient(model, batch, method.begin(model, 2, source))[0].params
        for name, grad in exact.items():
            assert float(found[name].norm()) == pytest.approx(float(grad.norm()), rel=1e-12)
        cosines.append(float(flat(found) @ flat(exact)) / float(flat(exact).square().sum()))
    assert abs(sum(cosines)) / 100 < 0.1  # one cosine spreads by up to 0.3: a standard error 0.03


ONLINE: dict[str, dict[str, Callable[[ModuleType], None]]] = {
    "gradients/eprop": {
        "is autograd with h detached inside the map": eprop_is_autograd_with_a_path_cut
    },
    "gradients/snap1": {
        "is RTRL with the influence on other units masked": snap_1_is_rtrl_masked_to_the_own_unit
    },
    "gradients/rtrl": {"is full BPTT on every cell": rtrl_is_full_bptt},
    "gradients/snap": {
        "of order 1 is the diagonal trace": snap_of_order_1_is_the_diagonal_trace,
        "of order 2 and dense weights is full BPTT": snap_2_of_dense_weights_is_full_bptt,
        "is RTRL masked by distance": snap_is_rtrl_masked_by_distance,
        "beyond the diameter is full BPTT": snap_beyond_the_diameter_is_full_bptt,
    },
    "gradients/rflo": {
        "symmetric is autograd with h detached inside W": rflo_is_autograd_with_a_path_cut,
        "is autograd with another feedback": rflo_is_autograd_with_another_feedback,
    },
    "gradients/uoro": {"averages to full BPTT over every sign": uoro_averages_to_full_bptt},
    "gradients/kf_rtrl": {"averages to full BPTT over every c": kf_averages_to_full_bptt},
    "gradients/ok": {
        "averages to full BPTT over every mixing sign": ok_averages_to_full_bptt,
        "mixes to the singular values": ok_mixes_to_the_singular_values,
        "of enough rank is exact for one sample": ok_of_enough_rank_is_exact_for_one_sample,
    },
    "gradients/forward_gradient": {
        "sums to the gradient over a basis": forward_gradient_sums_to_the_gradient_over_a_basis,
        "has the variance of theory": forward_gradient_has_the_variance_of_theory,
    },
    "gradients/random_gradient": {
        "has the lengths and no direction": random_gradient_has_the_lengths_and_no_direction
    },
}
