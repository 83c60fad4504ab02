"""A gradient method broken on purpose is caught: by a promise, or by an identity of its own.

A row names a file, the piece of its source that is changed and into what, and what must break: a
promise of `bptt check`, tried on the LSTM, or the sentence of an identity (tests/identities.py). A
changed module of the harness is put in the plugin's way. The unchanged ones are tested elsewhere:
promises in test_check.py, identities in test_identities.py.
"""

from pathlib import Path

import pytest
from identities import IDENTITIES
from mutants import module_of, mutant, promises_broken_by, source_of

import harness

MUTATIONS = [
    pytest.param(
        "gradients/spatial",
        "stride = 1",
        "stride = 2",
        "truncated: equals its own definition",
        id="spatial: look back one step",
    ),
    pytest.param(
        "gradients/eprop",
        "model.cell, memory)",
        "model.cell, lambda *_: 0 * memory(*_))",
        "is autograd with h detached inside the map",
        id="eprop: forget the memory of a unit",
    ),
    pytest.param(
        "gradients/eprop",
        "model.cell, memory)",
        "model.cell, trace.within_units)",
        "is autograd with h detached inside the map",
        id="eprop: follow the loop of a unit",
    ),
    pytest.param(
        "gradients/snap1",
        "trace.within_units",
        "lambda cell, local: local.by_state",
        "is RTRL with the influence on other units masked",
        id="snap1: forget the loop of a unit",
    ),
    pytest.param(
        "gradients/scan_backward",
        "cell.from_hidden(state[0])",
        "cell.from_hidden(carry[0])",
        "exact: equals the oracle",
        id="scan_backward: h of the first step in every one",
    ),
    pytest.param(
        "gradients/deer",
        "parallel.adjoints, chunk",
        "parallel.adjoints_within, chunk",
        "exact: equals the oracle",
        id="deer: the adjoint of another method",
    ),
    pytest.param(
        "gradients/quasi_deer",
        "parallel.adjoints, chunk",
        "parallel.adjoints_within, chunk",
        "exact: equals the oracle",
        id="quasi_deer: the diagonal adjoint",
    ),
    pytest.param(
        "gradients/quasi_deer_diagonal",
        "parallel.adjoints_within,",
        "parallel.adjoints,",
        "is SnAp-1's gradient",
        id="quasi_deer_diagonal: the exact adjoint",
    ),
    pytest.param(
        "gradients/linear_scan",
        "offsets = torch.stack(cell.gate(a, None, zero), -2)",
        "offsets = 0 * torch.stack(cell.gate(a, None, zero), -2)",
        "is full BPTT where the cell is linear",
        id="linear_scan: nothing read",
    ),
    pytest.param(
        "gradients/linear_scan",
        "parallel.adjoints_within,",
        "lambda cell, local, errors, message: (torch.stack([errors] * cell.parts, -2), message),",
        "is full BPTT where the cell is linear",
        id="linear_scan: no message back",
    ),
    pytest.param(
        "harness/trace",
        "= immediate(cell, local, x, hidden)",
        "= 0 * immediate(cell, local, x, hidden)",
        "is RTRL with the influence on other units masked",
        id="trace: forget + Iₜ",
    ),
    pytest.param(
        "harness/trace",
        "decay(cell, local).unbind(2)",
        "decay(cell, local).transpose(1, 2).unbind(2)",
        "is autograd with h detached inside the map",
        id="trace: the transposed Jacobian of a unit",
    ),
    pytest.param(
        "harness/trace",
        "by_hidden * weight.diagonal(dim1=1, dim2=2)",
        "by_hidden * weight.diagonal(dim1=1, dim2=2).flip(-1)",
        "is RTRL with the influence on other units masked",
        id="trace: another unit's loop",
    ),
    pytest.param(
        "harness/trace",
        "immediate(cell, local, x, hidden)\n    for",
        "immediate(cell, local, x, cell.gate(a, u, carry.state)[0])\n    for",
        "is RTRL with the influence on other units masked",
        id="trace: the h of the step itself",
    ),
    pytest.param(
        "harness/trace",
        "_outer(local.by_hidden, entries(cell.hidden_map, hidden))",
        "_outer(local.by_input, entries(cell.hidden_map, hidden))",
        "is autograd with h detached inside the map",
        id="trace: a map of h that takes the other's derivative",
    ),
    pytest.param(
        "gradients/rtrl",
        "jacobian, carry",
        "jacobian.mT.contiguous(), carry",
        "is full BPTT on every cell",
        id="rtrl: the transposed Jacobian",
    ),
    pytest.param(
        "gradients/rtrl",
        "influence[:, :width]",
        "influence[:, -width:]",
        "is full BPTT on every cell",
        id="rtrl: the influence on the last part",
    ),
    pytest.param(
        "harness/trace",
        "immediate(cell, local, x, hidden).mT)",
        "0 * immediate(cell, local, x, hidden).mT)",
        "is full BPTT on every cell",
        id="trace: forget + Iₜ of the whole state",
    ),
    pytest.param(
        "gradients/uoro",
        "1 / new, pulled",
        "1 / new**0, pulled",
        "averages to full BPTT over every sign",
        id="uoro: forget ρ₁ in one factor",
    ),
    pytest.param(
        "gradients/uoro",
        "along(new, random)",
        "along(new, torch.ones_like(random))",
        "averages to full BPTT over every sign",
        id="uoro: forget its signs in one factor",
    ),
    pytest.param(
        "gradients/uoro",
        "along(old, pushed) +",
        "along(old, carry.moved) +",
        "averages to full BPTT over every sign",
        id="uoro: forget J",
    ),
    pytest.param(
        "harness/gated",
        "(local.by_hidden * by_block).sum(-2)",
        "0 * (local.by_hidden * by_block).sum(-2)",
        "averages to full BPTT over every sign",
        id="gated: a detached path of h",
    ),
    pytest.param(
        "gradients/kf_rtrl",
        "gated.jacobian(cell, local), carry",
        "gated.jacobian(cell, local).mT, carry",
        "averages to full BPTT over every c",
        id="kf_rtrl: the transposed Jacobian",
    ),
    pytest.param(
        "gradients/kf_rtrl",
        "rows / new.unsqueeze(2)",
        "rows / new.abs().unsqueeze(2)",
        "averages to full BPTT over every c",
        id="kf_rtrl: forget c in one factor",
    ),
    pytest.param(
        "gradients/kf_rtrl",
        "old * carry.features",
        "carry.features",
        "averages to full BPTT over every c",
        id="kf_rtrl: forget p₀ in one factor",
    ),
    pytest.param(
        "gradients/ok",
        "gated.jacobian(cell, local).unsqueeze(1)",
        "gated.jacobian(cell, local).mT.unsqueeze(1)",
        "averages to full BPTT over every mixing sign",
        id="ok: the transposed Jacobian",
    ),
    pytest.param(
        "gradients/ok",
        "torch.where(mixed, coins, 1)",
        "torch.ones_like(coins)",
        "averages to full BPTT over every mixing sign",
        id="ok: forget the signs",
    ),
    pytest.param(
        "gradients/ok",
        "total / fewer, values",
        "total, values",
        "mixes to the singular values",
        id="ok: forget 1/k",
    ),
    pytest.param(
        "gradients/ok",
        "values > rounding",
        "values > -1",
        "of enough rank is exact for one sample",
        id="ok: mix in a direction of rounding",
    ),
    pytest.param(
        "gradients/snap",
        "by_unit[:, :, :, 0] += trace",
        "by_unit[:, :, :, 0] = trace",
        "of order 2 and dense weights is full BPTT",
        id="snap: forget J M of the own unit",
    ),
    pytest.param(
        "gradients/snap",
        "gated.jacobian(cell, local), carry)",
        "gated.jacobian(cell, local).mT, carry)",
        "of order 2 and dense weights is full BPTT",
        id="snap: the transposed Jacobian",
    ),
    pytest.param(
        "gradients/snap",
        "edges.double() @ found",
        "edges.T.double() @ found",
        "is RTRL masked by distance",
        id="snap: the graph the wrong way round",
    ),
    pytest.param(
        "gradients/snap",
        "cell.hidden_size) - 1)",
        "cell.hidden_size))",
        "is RTRL masked by distance",
        id="snap: one order too far",
    ),
    pytest.param(
        "gradients/snap",
        " * carry.within.unsqueeze(2)",
        "",
        "is RTRL masked by distance",
        id="snap: count what is out of reach",
    ),
    pytest.param(
        "gradients/rflo",
        "return local.by_state",
        "return 0 * local.by_state",
        "symmetric is autograd with h detached inside W",
        id="rflo: forget the leak",
    ),
    pytest.param(
        "gradients/rflo",
        "error.T @ hidden",
        "0 * error.T @ hidden",
        "symmetric is autograd with h detached inside W",
        id="rflo: forget the readout",
    ),
    pytest.param(
        "gradients/rflo",
        "if self.drawn is None and self",
        "if self",
        "is autograd with another feedback",
        id="rflo: a new feedback every sequence",
    ),
    pytest.param(
        "gradients/forward_gradient",
        "slope * part for",
        "slope.abs() * part for",
        "sums to the gradient over a basis",
        id="forward_gradient: always downhill",
    ),
    pytest.param(
        "gradients/forward_gradient",
        "torch.randn(param",
        "torch.rand(param",
        "has the variance of theory",
        id="forward_gradient: a direction that leans",
    ),
    pytest.param(
        "gradients/output_only",
        "return model.gradient_of(loss), state",
        "return model.gradient_of(2 * loss), state",
        "truncated: equals its own definition",
        id="output_only: twice the readout",
    ),
    pytest.param(
        "gradients/random_gradient",
        "* drawn\n",
        "* drawn.abs()\n",
        "has the lengths and no direction",
        id="random_gradient: one octant",
    ),
    pytest.param(
        "gradients/random_gradient",
        "grad.norm() / drawn.norm()",
        "grad.norm()",
        "has the lengths and no direction",
        id="random_gradient: longer than the gradient",
    ),
]


@pytest.mark.parametrize(("key", "right", "wrong", "caught_by"), MUTATIONS)
def test_a_gradient_method_broken_on_purpose_is_caught(
    key: str,
    right: str,
    wrong: str,
    caught_by: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = mutant(key, right, wrong, tmp_path)
    if caught_by not in IDENTITIES:
        assert caught_by in promises_broken_by(file)
        return
    identity = IDENTITIES[caught_by]
    if key.startswith("harness/"):
        monkeypatch.setattr(harness, Path(key).name, module_of(file))
        file = source_of(identity.plugin)
    with pytest.raises(AssertionError):
        identity.holds(module_of(file))
