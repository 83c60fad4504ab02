"""Finds plugins: the folders, entry points, files named in a sweep; imports only what is built."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, overload

from harness.registry import plugin as plugins
from harness.registry.mistake import ConfigurationError, Mistake, meant
from harness.registry.plugin import KINDS, Kind, Plugin, PluginError
from harness.trial import Choice

if TYPE_CHECKING:
    from harness.contract import Cell, Clip, GradientMethod, Task

ROOT = Path(__file__).parent.parent.parent
FOLDERS: dict[Kind, str] = {
    "gradients": "implementations.gradients",
    "clips": "implementations.clips",
    "cells": "implementations.cells",
    "tasks": "tasks",
}
SINGULAR: dict[Kind, str] = {
    "gradients": "gradient method",
    "clips": "clip",
    "cells": "cell",
    "tasks": "task",
}


@dataclass(frozen=True, slots=True)
class Registry:
    """Every plugin that can be named."""

    plugins: tuple[Plugin, ...]

    @classmethod
    def scan(cls, files: Iterable[Path] = (), root: Path = ROOT) -> Registry:
        """Return the plugins of the folders, of installed packages, and of `files`.

        Raises:
            ConfigurationError: a file named is not a plugin, or two plugins have one name.
        """
        found = [*_in_folders(root), *_in_packages(), *_in_files(files)]
        first: dict[str, Plugin] = {}
        clashes = []
        for plugin in found:
            other = first.setdefault(plugin.key, plugin)
            if other is not plugin:
                clashes.append(_clash(other, plugin))
        if clashes:
            raise ConfigurationError(*clashes)
        return cls(tuple(first.values()))

    def of(self, kind: Kind) -> tuple[Plugin, ...]:
        """Return the plugins of one kind."""
        return tuple(plugin for plugin in self.plugins if plugin.kind == kind)

    def find(self, kind: Kind, name: str) -> Plugin:
        """Return the plugin of that name.

        Raises:
            PluginError: there is none, or it cannot be used.
        """
        names = [plugin.name for plugin in self.of(kind)]
        if name not in names:
            raise PluginError(
                f'there is no {SINGULAR[kind]} "{name}"{meant(name, names)} '
                f"There are: {', '.join(names)}"
            )
        found = self.of(kind)[names.index(name)]
        if found.unavailable:
            raise PluginError(f"{name} ({found.path}) cannot be used: {found.unavailable}")
        return found

    @overload
    def build(self, kind: Literal["gradients"], choice: Choice) -> GradientMethod: ...
    @overload
    def build(self, kind: Literal["clips"], choice: Choice) -> Clip: ...
    @overload
    def build(self, kind: Literal["cells"], choice: Choice, *sizes: int) -> Cell: ...
    @overload
    def build(self, kind: Literal["tasks"], choice: Choice) -> Task: ...
    @overload
    def build(self, kind: Kind, choice: Choice, *sizes: int) -> object: ...

    def build(self, kind: Kind, choice: Choice, *sizes: int) -> object:
        """Import the plugin and return it with its parameters; a cell also takes sizes I and H.

        Raises:
            PluginError: there is no such plugin, or it does not import.
            ValueError: the plugin refuses the values of its parameters.
        """
        plugin = self.find(kind, choice.use)
        try:
            module = _module(plugin)
        except Exception as error:  # whatever a plugin raises, it is the plugin's
            told = f"{type(error).__name__}: {error}"
            raise PluginError(f"{plugin.name} ({plugin.path}) does not import: {told}") from error
        make: Any = vars(module)[plugin.class_name]  # Any: each kind has its constructor
        return make(*sizes, **choice.params)


def _module(plugin: Plugin) -> ModuleType:
    """Return the plugin's module, imported once; a file of the user's by its path."""
    if plugin.module:
        return importlib.import_module(plugin.module)
    name = f"bptt_plugin_{plugin.name}_{plugin.sha256[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, plugin.path)
        assert spec is not None, "a .py file always has a loader"
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their annotations up there
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _in_folders(root: Path) -> Iterator[Plugin]:
    for kind, package in FOLDERS.items():
        folder = root.joinpath(*package.split("."))
        for path in sorted(folder.glob("*.py")):
            if not path.name.startswith("_"):
                yield _read_or_explain(kind, path, f"{package}.{path.stem}")


def _in_packages() -> Iterator[Plugin]:
    for kind in KINDS:
        for entry in entry_points(group=f"bptt.{kind}"):
            module = entry.value.partition(":")[0].strip()
            path = _path_of(module)
            if path is None:
                why = f"the entry point names {module}, which is not installed"
                yield Plugin(kind, entry.name, Path(_distribution(entry)), module, unavailable=why)
            else:
                yield replace(_read_or_explain(kind, path, module), name=entry.name)


def _in_files(files: Iterable[Path]) -> Iterator[Plugin]:
    mistakes = []
    for path in files:
        try:
            yield plugins.read(path)
        except PluginError as error:
            mistakes.append(Mistake(str(path), f"the plugin {error}"))
    if mistakes:
        raise ConfigurationError(*mistakes)


def _read_or_explain(kind: Kind, path: Path, module: str) -> Plugin:
    try:
        plugin = plugins.read(path, module)
    except PluginError as error:
        return Plugin(kind, path.stem, path, module, unavailable=str(error))
    if plugin.kind != kind:
        why = f"it holds a {SINGULAR[plugin.kind]}; it belongs to {FOLDERS[plugin.kind]}"
        return Plugin(kind, path.stem, path, module, unavailable=why)
    return plugin


def _path_of(module: str) -> Path | None:
    """Return the file of a module, without importing the packages that hold it."""
    top, *inside = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not inside:
        return Path(spec.origin)
    stem = Path(spec.origin).parent.joinpath(*inside)
    candidates = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((path for path in candidates if path.exists()), None)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value


def _clash(first: Plugin, second: Plugin) -> Mistake:
    what = f'the {SINGULAR[first.kind]} "{first.name}" is there twice: {first.path}, {second.path}'
    return Mistake("", f"{what}; rename one of the two files")
