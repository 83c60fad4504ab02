"""Which plugins a sweep names, with which parameters; a list of values makes several choices."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from pydantic_core import PydanticCustomError

from harness.registry import Registry
from harness.registry.mistake import meant
from harness.registry.plugin import Kind, Plugin, PluginError
from harness.trial import Choice

MISTAKES = "mistakes"  # the type of a pydantic error that carries several slips
Slip = tuple[tuple[str | int, ...], str]  # the place inside the value, and a sentence


def choices_of(kind: Kind, value: object, registry: Registry) -> tuple[Choice, ...]:
    """Return every choice that a name or an inline table stands for.

    Raises:
        PydanticCustomError: with every mistake in it.
    """
    table = {"use": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or not isinstance(table.get("use"), str):
        raise slips(((), f'{value!r} is not a name, nor a table like {{ use = "name" }}'))
    try:
        plugin = registry.find(kind, table["use"])
    except PluginError as error:
        raise slips((("use",) if isinstance(value, dict) else (), str(error))) from error
    axes, wrong = _parameter_axes(plugin, {k: v for k, v in table.items() if k != "use"})
    if wrong:
        raise slips(*wrong)
    combinations = product(*axes.values())
    return tuple(Choice(plugin.name, dict(zip(axes, point, strict=True))) for point in combinations)


def slips(*found: Slip) -> PydanticCustomError:
    """Return the error that carries these sentences to where the places are known."""
    return PydanticCustomError(MISTAKES, "several", {MISTAKES: found})


def _parameter_axes(
    plugin: Plugin, given: Mapping[str, Any]
) -> tuple[dict[str, list[object]], list[Slip]]:
    """Return the values of every parameter given, and what is wrong with them."""
    axes: dict[str, list[object]] = {}
    wrong: list[Slip] = []
    names = [parameter.name for parameter in plugin.parameters]
    for name, value in given.items():
        parameter = plugin.parameter(name)
        if parameter is None:
            wrong.append(((name,), f"{plugin.name} has no such parameter{_takes(name, names)}"))
            continue
        values = value if isinstance(value, list) else [value]
        if not values:
            wrong.append(((name,), "the list is empty, so there would be nothing to run"))
        axes[name] = []
        for index, one in enumerate(values):
            try:
                axes[name].append(parameter.fit(one))
            except ValueError as error:
                place = (name, index) if isinstance(value, list) else (name,)
                wrong.append((place, f"{plugin.name}: {error}"))
    for parameter in plugin.parameters:
        if parameter.default is None and parameter.name not in given:
            wrong.append(((), f"{plugin.name} needs {parameter}"))
    return axes, wrong


def _takes(name: str, names: list[str]) -> str:
    if not names:
        return ". It takes none"
    return f"{meant(name, names)} It takes: {', '.join(names)}"
