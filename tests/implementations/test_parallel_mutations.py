"""What the methods that are parallel in time share, broken on purpose, breaks a promise of theirs.

A changed module is put in the way of a copy of a plugin, which is then tried as `bptt check` does,
on an LSTM and an LRU, with so little room for Jacobians that a sequence takes several chunks.
"""

from pathlib import Path

import pytest
from mutants import REGISTRY, broken, module_of, source_of

import harness
from harness import scan
from harness.check import check
from harness.registry import Registry
from harness.trial import Choice
from implementations import gradients
from implementations.gradients import _newton, _parallel

# Those that come later import those before.
SHARED = {"scan": scan, "_parallel": _parallel, "_newton": _newton}
MUTATIONS = [
    pytest.param(
        "scan", "form.compose(odd, even)", "form.compose(even, odd)", "scan_backward", id="order"
    ),
    pytest.param(
        "scan",
        "return affine_scan(matrices.flip(0), offsets.flip(0), final).flip(0)",
        "return affine_scan(matrices.flip(0), offsets.flip(0), final)",
        "deer",
        id="last step first",
    ),
    pytest.param(
        "scan",
        "found = torch.addcmul(found, later[..., r",
        "found = torch.addcmul(found, -later[..., r",
        "linear_scan",
        id="a unit's second number",
    ),
    pytest.param(
        "_parallel",
        "back = gated.jacobian(cell, local).mT",
        "back = gated.jacobian(cell, local)",
        "scan_backward",
        id="the transposed Jacobian",
    ),
    pytest.param(
        "_parallel",
        "trace.within_units(cell, local).transpose(-3, -2)",
        "trace.within_units(cell, local)",
        "linear_scan",
        id="the transposed Jacobian of a unit",
    ),
    pytest.param(
        "_parallel",
        "affine_scan_back(back, own, message.flatten(1))",
        "affine_scan_back(back, own, 0 * message.flatten(1))",
        "scan_backward",
        id="no message between chunks",
    ),
    pytest.param(
        "_parallel",
        "adjoint[..., 0, :] += errors",
        "adjoint[..., 0, :] += 0 * errors",
        "quasi_deer",
        id="a step's own error dropped",
    ),
    pytest.param(
        "_parallel",
        "torch.cat([sent[1:], message.unsqueeze(0)])",
        "sent.clone()",
        "deer",
        id="what a step sent, to itself",
    ),
    pytest.param(
        "_parallel",
        "found = gated.parameter_gradients(cell, steps.inputs, before[0], behind)",
        "found = gated.parameter_gradients(cell, steps.inputs, states[0][1:][here], behind)",
        "quasi_deer",
        id="the h of the step itself",
    ),
    pytest.param(
        "_newton",
        "more = right + 1",
        "more = right + 2",
        "deer",
        id="a step too many taken as right",
    ),
    pytest.param(
        "_newton", "ROUNDINGS = 32", "ROUNDINGS = 1e12", "quasi_deer", id="content too early"
    ),
    pytest.param(
        "_newton",
        "last = tuple(part[-1] for part in found[-1])",
        "last = carry",
        "deer",
        id="every chunk from the first state",
    ),
]


def exactness_broken_by(plugin: str, folder: Path) -> bool:
    file = folder / "copied.py"
    # The registry imports a source once, and this one has to meet what was put in its way.
    file.write_text(f"{source_of(f'gradients/{plugin}').read_text()}\n# {folder}\n")
    found = Registry.scan([file]).plugins
    cells = [one for one in found if one.kind == "cells" and one.name in ("lstm", "lru")]
    registry = Registry((*cells, *(one for one in found if one.kind != "cells")))
    room = {"chunk": 8} if plugin == "linear_scan" else {"jacobian_bytes": 20_000}
    return "exact: equals the oracle" in broken(
        check(registry, "gradients", Choice("copied", room))
    )


@pytest.mark.parametrize(("changed", "right", "wrong", "plugin"), MUTATIONS)
def test_what_parallel_methods_share_is_caught_when_broken(
    changed: str,
    right: str,
    wrong: str,
    plugin: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Path(str(SHARED[changed].__file__)).read_text()
    assert source.count(right) == 1, "the source has changed; change the mutation too"
    for name, module in SHARED.items():
        file = tmp_path / f"{name}.py"
        unchanged = Path(str(module.__file__)).read_text()
        file.write_text(source.replace(right, wrong) if name == changed else unchanged)
        monkeypatch.setattr(harness if name == "scan" else gradients, name, module_of(file))
    assert exactness_broken_by(plugin, tmp_path)


@pytest.mark.parametrize("plugin", ["scan_backward", "deer", "quasi_deer", "linear_scan"])
def test_nothing_is_broken_where_nothing_is_changed(plugin: str, tmp_path: Path) -> None:
    assert f"gradients/{plugin}" in {one.key for one in REGISTRY.plugins}
    assert not exactness_broken_by(plugin, tmp_path)
