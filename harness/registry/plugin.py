"""What a plugin's source says of it, read without running it: no torch is imported for a list."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from harness.registry.parameter import Parameter, UnreadableAnnotation

Kind = Literal["gradients", "clips", "cells", "tasks"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BASES: Mapping[str, Kind] = {
    "GradientMethod": "gradients",
    "Clip": "clips",
    "Cell": "cells",
    "GatedCell": "cells",
    "Task": "tasks",
}


class PluginError(Exception):
    """A file is not a plugin, or cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin, as far as its source tells. What cannot be used says why in `unavailable`."""

    kind: Kind
    name: str
    path: Path
    module: str  # dotted name to import it by; "" for a file named in a sweep
    sha256: str = ""
    class_name: str = ""
    summary: str = ""  # the first sentence of its docstring
    source: str = ""  # where the method was published
    parameters: tuple[Parameter, ...] = ()
    packs: tuple[str, ...] = ()  # data packs that it reads
    checks: bool = False  # refuses some values of its parameters
    unavailable: str = ""

    @property
    def key(self) -> str:
        """Return "gradients/native"."""
        return f"{self.kind}/{self.name}"

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter of that name."""
        return next((known for known in self.parameters if known.name == name), None)


def read(path: Path, module: str = "") -> Plugin:
    """Return the plugin that a file holds, named after the file.

    Raises:
        PluginError: the file holds no plugin, or one that cannot work.
    """
    try:
        source = path.read_bytes()
        tree = ast.parse(source, filename=str(path))
    except OSError as error:
        raise PluginError(f"cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) else ""
        raise PluginError(f"does not parse: {line}{error.args[0]}") from error
    kind, found = _plugin_class(tree)
    _check_imports(tree)
    text = ast.get_docstring(tree) or ""
    return Plugin(
        kind=kind,
        name=path.stem,
        path=path,
        module=module,
        sha256=hashlib.sha256(source).hexdigest(),
        class_name=found.name,
        summary=_first_sentence(text),
        source=_paragraph(text, "Source:"),
        parameters=_parameters(kind, found),
        packs=_packs(found),
        checks=any(isinstance(node, ast.Raise) for node in ast.walk(_constructor(found))),
    )


def _plugin_class(tree: ast.Module) -> tuple[Kind, ast.ClassDef]:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found = [(BASES[base], node) for node in classes for base in _bases(node) if base in BASES]
    if len(found) == 1:
        return found[0]
    names = ", ".join(node.name for _, node in found) or "none"
    raise PluginError(
        f"must hold exactly one class whose base is {', '.join(BASES)}; it holds {names}"
    )


def _bases(node: ast.ClassDef) -> Iterator[str]:
    for base in node.bases:
        if isinstance(base, ast.Name):
            yield base.id
        elif isinstance(base, ast.Attribute):
            yield base.attr


def _check_imports(tree: ast.Module) -> None:
    """Raise for a module that is not installed, as far as that shows without importing any."""
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for top in {name.partition(".")[0] for name in names}:
            if importlib.util.find_spec(top) is None:
                raise PluginError(f"line {node.lineno}: needs {top}, which is not installed")


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.partition("\n\n")[0].split())
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]


def _paragraph(text: str, start: str) -> str:
    """Return the text after `start`, up to the next line that begins with a word and a colon."""
    lines = text.splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith(start)), None)
    if first is None:
        return ""
    kept = [lines[first].removeprefix(start)]
    for line in lines[first + 1 :]:
        if not line.strip() or line.split()[0].endswith(":"):
            break
        kept.append(line)
    return " ".join(" ".join(kept).split())


def _constructor(found: ast.ClassDef) -> ast.AST:
    """Return the function that sees the parameters first; an empty one where there is none."""
    for node in found.body:
        if isinstance(node, ast.FunctionDef) and node.name in ("__init__", "__post_init__"):
            return node
    return ast.Pass()


def _parameters(kind: Kind, found: ast.ClassDef) -> tuple[Parameter, ...]:
    try:
        if kind == "cells":
            return tuple(_keyword_parameters(_constructor(found)))
        parameters = tuple(_field_parameters(found))
    except UnreadableAnnotation as error:
        raise PluginError(f"line {error.line}: {error}") from error
    if parameters and not found.decorator_list:
        raise PluginError(f"line {found.lineno}: {found.name} needs @dataclass for its parameters")
    return parameters


def _field_parameters(found: ast.ClassDef) -> Iterator[Parameter]:
    for node in found.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if not ast.unparse(node.annotation).strip("'\"").startswith(("ClassVar", "typing.Class")):
            yield Parameter.read(node.target.id, node.annotation, node.value)


def _keyword_parameters(constructor: ast.AST) -> Iterator[Parameter]:
    if isinstance(constructor, ast.FunctionDef):
        given = constructor.args
        for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
            annotation = argument.annotation or ast.Name(id="nothing", lineno=argument.lineno)
            yield Parameter.read(argument.arg, annotation, default)


def _packs(found: ast.ClassDef) -> tuple[str, ...]:
    for node in found.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None and [ast.unparse(target) for target in targets] == ["packs"]:
            return _literal_packs(value)
    return ()


def _literal_packs(value: ast.expr) -> tuple[str, ...]:
    try:
        return tuple(ast.literal_eval(value))
    except ValueError as error:
        raise PluginError(f"line {value.lineno}: packs must be written out as strings") from error
