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
        "local, local.by_state,",
        "local, 0 * local.by_state,",
        "is autograd with h detached inside the map",
        id="eprop: forget the memory of a unit",
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
