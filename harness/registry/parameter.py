"""One parameter of a plugin, and which values it takes."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

PLAIN: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


class UnreadableAnnotation(Exception):
    """A parameter's type is not one that a sweep can write."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a sweep may set."""

    name: str
    annotation: str  # as written: "int", "float | None", "Literal['tanh', 'relu']"
    default: str | None = None  # as written; None: it has to be given

    @classmethod
    def read(cls, name: str, annotation: ast.expr, default: ast.expr | None) -> Parameter:
        """Return the parameter that the source declares.

        Raises:
            UnreadableAnnotation: no TOML value has its type.
        """
        written = ast.unparse(annotation).strip("'\"")
        if not _allowed(written):
            raise UnreadableAnnotation(
                f"parameter {name} is annotated {written!r}; "
                f"a sweep can set {', '.join(PLAIN)}, and Literal",
                annotation.lineno,
            )
        return cls(name, written, None if default is None else ast.unparse(default))

    def __str__(self) -> str:
        shown = "" if self.default is None else f" = {self.default}"
        return f"{self.name}: {self.annotation}{shown}"

    def fit(self, value: object) -> object:
        """Return the value as the plugin wants it: an int becomes a float where one is asked for.

        Raises:
            ValueError: the value has another type.
        """
        allowed = _allowed(self.annotation)
        if any(type(value) is type(one) and value == one for one in allowed):
            return value
        if type(value) in allowed:
            return value
        if isinstance(value, int) and type(value) is int and float in allowed:
            return float(value)
        raise ValueError(f"{value!r} is not of type {self.annotation}")


def _allowed(annotation: str) -> list[object]:
    """Return the types, and the single values, that an annotation allows; none if unreadable."""
    return _members(ast.parse(annotation, mode="eval").body)


def _members(node: ast.expr) -> list[object]:
    match node:
        case ast.Name(id=name) if name in PLAIN:
            return [PLAIN[name]]
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return _members(left)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*_members(left), *_members(right)]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=choices)):
            return [choice.value for choice in choices if isinstance(choice, ast.Constant)]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Constant(value=value)):
            return [value]
    return []
