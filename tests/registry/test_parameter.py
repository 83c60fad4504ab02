"""A sweep may set what a plugin's annotation allows."""

import ast

import pytest

from harness.registry.parameter import Parameter, UnreadableAnnotation


@pytest.mark.parametrize(
    ("annotation", "value", "fitted"),
    [
        ("int", 3, 3),
        ("float", 3, 3.0),
        ("float", 0.5, 0.5),
        ("bool", True, True),
        ("str", "a", "a"),
        ("int | None", 3, 3),
        ("int | str", "a", "a"),
        ("Literal['a', 'b']", "b", "b"),
        ("Literal[1]", 1, 1),
    ],
)
def test_a_value_of_the_annotated_type_fits(annotation: str, value: object, fitted: object) -> None:
    got = Parameter("name", annotation).fit(value)
    assert (got, type(got)) == (fitted, type(fitted))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int", True),
        ("int", 1.5),
        ("int", "1"),
        ("float", "1"),
        ("float", True),
        ("bool", 1),
        ("str", 1),
        ("Literal['a', 'b']", "c"),
        ("Literal[1]", True),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_is_allowed(
    annotation: str, value: object
) -> None:
    with pytest.raises(ValueError, match="is not of type") as caught:
        Parameter("name", annotation).fit(value)
    assert str(caught.value) == f"{value!r} is not of type {annotation}"


def test_a_type_that_toml_cannot_write_is_refused_where_it_stands() -> None:
    node = ast.parse("\n\nlimit: dict[str, int]").body[0]
    assert isinstance(node, ast.AnnAssign)
    with pytest.raises(UnreadableAnnotation) as caught:
        Parameter.read("limit", node.annotation, None)
    assert caught.value.line == 3
