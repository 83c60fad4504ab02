"""A sweep as TOML again, with every default written out: reading it gives the same trials."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from harness.sweep.form import SCHEMA
from harness.sweep.read import Sweep
from harness.trial import Choice, Implementation


def resolved(sweep: Sweep) -> str:
    """Return the text of a sweep file."""
    return "\n".join(_lines(sweep)) + "\n"


def _lines(sweep: Sweep) -> Iterator[str]:
    yield f"schema = {SCHEMA}"
    if sweep.plugins:
        yield f"plugins = {_value(sweep.plugins)}"
    yield from _table("[sweep]", _header(sweep))
    yield from _table("[axes]", sweep.axes.by_name())
    for implementation in sweep.implementations:
        yield from _table("[[implementation]]", _implementation(implementation))
    for exclude in sweep.excludes:
        yield from _table("[[exclude]]", exclude.written)
    yield from _table("[measure]", {"passes": sweep.passes, "aa_copy": sweep.aa_copy})
    for name, protocol in sweep.protocols.items():
        if protocol:
            yield from _table(f"[measure.{name}]", protocol)
    yield from _table("[limits]", _limits(sweep))


def _header(sweep: Sweep) -> dict[str, object]:
    return {
        "name": sweep.name,
        "description": sweep.description,
        "blocks": sweep.blocks,
        "seed": sweep.seed,
    }


def _implementation(one: Implementation) -> dict[str, object]:
    return {
        "name": one.label,
        "gradient": one.gradient,
        "clip": one.clips,
        "baseline": one.baseline,
    }


def _limits(sweep: Sweep) -> dict[str, object]:
    limits: dict[str, object] = {
        "trial_timeout": f"{sweep.limits.seconds:.6f}".rstrip("0").rstrip(".") + "s"
    }
    memory = sweep.limits.memory_bytes
    return limits if memory is None else {**limits, "memory": f"{memory}B"}


def _table(header: str, values: Mapping[str, object]) -> Iterator[str]:
    yield ""
    yield header
    for key, value in values.items():
        yield f"{key} = {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, Choice):
        return _value({"use": value.use, **value.params} if value.params else value.use)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key} = {_value(one)}" for key, one in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a TOML basic string escapes as JSON does
    return json.dumps(value)
