"""Plugins with one piece of their source changed: a promise or an identity must be seen to break.

An identity is a sentence that is true of a plugin's module and that `bptt check` does not know:
identities.py holds them.
"""

import importlib.util
import sys
from collections.abc import Set
from pathlib import Path
from types import ModuleType

from harness.check import Finding, check
from harness.registry import Registry
from harness.trial import Choice

ROOT = Path(__file__).parent.parent
REGISTRY = Registry.scan()


def source_of(key: str) -> Path:
    """Return the file of a plugin ("gradients/rtrl") or of a module of the harness."""
    if key.startswith("harness/"):
        return ROOT / f"{key}.py"
    return next(plugin.path for plugin in REGISTRY.plugins if plugin.key == key)


def mutant(key: str, right: str, wrong: str, folder: Path) -> Path:
    """Return a copy of the file with the one piece `right` replaced by `wrong`."""
    source = source_of(key).read_text()
    assert source.count(right) == 1, "the source has changed; change the mutation too"
    file = folder / "mutant.py"
    file.write_text(source.replace(right, wrong))
    return file


def module_of(file: Path) -> ModuleType:
    """Return a file as a module of its own, whatever else was made of the same file."""
    name = f"a copy of {file}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # dataclasses look their annotations up in sys.modules
    return module


def scan_beside_one_cell(file: Path) -> Registry:
    """Return the plugins there are with `file`, but of the other cells only the LSTM."""
    found = Registry.scan([file]).plugins
    return Registry(
        tuple(one for one in found if one.kind != "cells" or one.name in ("lstm", file.stem))
    )


def broken(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.promise for finding in findings if finding.verdict == "broken"}


def promises_broken_by(file: Path) -> Set[str]:
    """Return the promises that the plugin in `file` breaks, tried on the LSTM alone."""
    registry = scan_beside_one_cell(file)
    kind = next(plugin.kind for plugin in registry.plugins if plugin.path == file)
    return broken(check(registry, kind, Choice(file.stem)))
