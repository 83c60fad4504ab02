"""The associative scan gives what the loop gives, forwards and backwards, with its derivative."""

import pytest
import torch
from torch import Tensor

from harness.scan import affine_scan, affine_scan_back

LENGTHS = [1, 2, 3, 7, 8, 33]  # powers of two and their neighbours: every way to be left over
STATES = 4


def problem(length: int, kind: str, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    end = (STATES, STATES) if kind == "dense" else (STATES,)
    sizes = [(length, 3, *end), (length, 3, STATES), (3, STATES)]
    drawn = [torch.randn(size, generator=generator, dtype=dtype) for size in sizes]
    return [drawn[0] / STATES**0.5, *drawn[1:]]


def looped(matrices: Tensor, offsets: Tensor, initial: Tensor) -> Tensor:
    equation = "bs,bs->bs" if matrices.shape == offsets.shape else "bij,bj->bi"
    states = [initial]
    for matrix, offset in zip(matrices, offsets, strict=True):
        states.append(torch.einsum(equation, matrix, states[-1]) + offset)
    return torch.stack(states[1:])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", ["diagonal", "dense"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_a_scan_is_the_loop(length: int, kind: str, dtype: torch.dtype) -> None:
    given = problem(length, kind, dtype)
    torch.testing.assert_close(affine_scan(*given), looped(*given), rtol=1e-12, atol=1e-13)
    matrices, offsets, final = given
    back = looped(matrices.flip(0), offsets.flip(0), final).flip(0)
    torch.testing.assert_close(affine_scan_back(*given), back, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", ["diagonal", "dense"])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_its_derivative_is_the_loop_s(length: int, kind: str) -> None:
    given = [tensor.requires_grad_() for tensor in problem(length, kind)]
    weights = torch.randn(length, 3, STATES, dtype=torch.float64)
    got = torch.autograd.grad((affine_scan(*given) * weights).sum(), given)
    want = torch.autograd.grad((looped(*given) * weights).sum(), given)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_the_order_of_the_matrices_matters() -> None:
    matrices, offsets, initial = problem(7, "dense")
    turned = affine_scan(matrices.mT, offsets, initial)
    assert float((turned - looped(matrices, offsets, initial)).abs().max()) > 1e-2


def depth_of(states: Tensor) -> int:
    """Return the most matrix products that lie on one path through the graph."""
    depths: dict[object, int] = {None: 0}

    def depth(node: object) -> int:
        if node not in depths:
            assert isinstance(node, torch.autograd.graph.Node)
            below = max((depth(before) for before, _ in node.next_functions), default=0)
            depths[node] = below + node.name().startswith("Bmm")
        return depths[node]

    return depth(states.grad_fn)


def test_its_depth_grows_with_the_logarithm_of_the_length() -> None:
    for levels in (3, 5, 7):
        given = [tensor.requires_grad_() for tensor in problem(2**levels, "dense")]
        assert depth_of(affine_scan(*given)) <= 2 * levels + 1
    assert depth_of(looped(*given)) == 2**levels  # what it would be without a scan


def test_sizes_that_do_not_fit_are_told() -> None:
    matrices, offsets, initial = problem(3, "dense")
    with pytest.raises(ValueError, match=r"\(3, 3, 4, 1\) beside offsets \(3, 3, 4\)"):
        affine_scan(matrices[..., :1], offsets, initial)
