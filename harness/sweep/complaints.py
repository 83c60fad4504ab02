"""Turns what pydantic found into sentences: file and line, the key, what is allowed, a hint."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.registry.mistake import Mistake, meant
from harness.sweep.choices import MISTAKES
from harness.sweep.draft import Draft
from harness.sweep.form import KEYS, SCHEMA
from harness.sweep.locate import Path

TYPES = {  # pydantic's name of an error -> what was wanted
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "dataclass_type": "a table",
}
EXAMPLES = {  # of what has no default
    "axes": '[axes] with sequence_length = [64, 128], cell = "lstm" and task = "adding"',
    "implementation": '[[implementation]] with gradient = "full_bptt"',
    "gradient": 'gradient = "full_bptt"',
    "sequence_length": "sequence_length = [64, 128]",
    "cell": 'cell = "lstm"',
    "task": 'task = "adding"',
}


def mistakes(error: ValidationError, draft: Draft) -> Iterator[Mistake]:
    """Yield every mistake, in the order of the file."""
    for detail in error.errors():
        path = _without_indices_of_single_values(tuple(detail["loc"]), draft)
        if detail["type"] == MISTAKES:
            for inside, sentence in detail["ctx"][MISTAKES]:
                yield draft.mistake((*path, *inside), sentence)
        elif detail["type"] != "too_short" or not detail["input"]:  # bad items are not counted
            yield draft.mistake(path, _sentence(detail, path))


def _without_indices_of_single_values(path: Path, draft: Draft) -> Path:
    """Return the path less the [0] that reading a single value as a list has added."""
    kept: list[str | int] = []
    data: object = draft.data
    for part in path:
        if isinstance(part, int) and not isinstance(data, list):
            continue
        kept.append(part)
        if isinstance(part, int) and isinstance(data, list):
            data = data[part] if part < len(data) else None
        else:
            data = data.get(part) if isinstance(data, dict) else None
    return tuple(kept)


def _sentence(detail: ErrorDetails, path: Path) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "unexpected_keyword_argument":
        names = tuple(part for part in path[:-1] if isinstance(part, str))
        known = KEYS.get(names, ())
        return f"there is no such key{meant(str(path[-1]), known)} There are: {', '.join(known)}"
    if path == ("schema",):
        shown = "is missing" if kind == "missing" else f"is {value!r}"
        return f"{shown}; this version reads sweeps that begin with: schema = {SCHEMA}"
    if kind == "missing":
        return f"is missing; write, for example: {EXAMPLES[str(path[-1])]}"
    if kind == "too_short":
        return "the list is empty, so there would be nothing to run"
    if kind == "greater_than":
        return f"{value!r} is not above {context['gt']}"
    if kind == "literal_error":
        known = tuple(re.findall(r"'([^']*)'", str(context["expected"])))
        return f"{value!r} is not known{meant(str(value), known)} It can be: {', '.join(known)}"
    if kind == "value_error":
        return str(context["error"])
    return f"{value!r} is not {TYPES.get(kind, detail['msg'])}"
