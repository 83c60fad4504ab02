"""Every identity of a gradient method holds of the method as it is."""

import pytest
from identities import IDENTITIES, Identity
from mutants import module_of, source_of


@pytest.mark.parametrize(
    "identity",
    [pytest.param(one, id=f"{one.plugin} {one.sentence}") for one in IDENTITIES.values()],
)
def test_a_gradient_method_is_what_defines_it(identity: Identity) -> None:
    identity.holds(module_of(source_of(identity.plugin)))
