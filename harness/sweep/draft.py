"""A sweep as it was written: the TOML file with what the command line sets, and where each came."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.registry.mistake import ConfigurationError, Mistake, meant
from harness.sweep import locate

PRESETS = Path(__file__).parent.parent / "presets"


@dataclass(frozen=True, slots=True)
class Draft:
    """Nested data, not yet checked, that knows the place of every key."""

    file: str
    data: Mapping[str, Any]  # Any: TOML before it is checked
    lines: Mapping[locate.Path, int] = field(default_factory=dict)
    flags: Mapping[locate.Path, str] = field(default_factory=dict)  # key -> "--set blocks"

    @property
    def plugins(self) -> list[Path]:
        """Return the plugin files that the sweep names, found from the sweep file's folder."""
        return list(self._plugins().values())

    def absent_plugins(self) -> list[Mistake]:
        """Return a mistake for every plugin file that is not there."""
        return [
            self.mistake(
                ("plugins", index),
                f"there is no file {path}; a path is relative to the sweep file's folder",
            )
            for index, path in self._plugins().items()
            if not path.is_file()
        ]

    def _plugins(self) -> dict[int, Path]:
        """Return the plugin files with their places in the list; of others the form complains."""
        named = self.data.get("plugins", [])
        entries = enumerate(named if isinstance(named, list) else [])
        folder = Path(self.file).parent
        return {index: folder / name for index, name in entries if isinstance(name, str)}

    def mistake(self, path: locate.Path, what: str) -> Mistake:
        """Return what is wrong at a key, with its place: file and line, or the flag that set it."""
        ways = [path[:length] for length in range(len(path), -1, -1)]
        for known in ways:
            if known in self.flags:
                return Mistake(self.flags[known] + dotted(path[len(known) :], "."), what)
        line = next((self.lines[known] for known in ways if known in self.lines), 0)
        place = f"{self.file}:{line}" if line else self.file
        key = dotted(_as_thought_of(path))
        return Mistake(f"{place}: {key}" if key else place, what, line)


def _as_thought_of(path: locate.Path) -> locate.Path:
    """Return the path as its writer sees it: a method's parameter is the implementation's own."""
    inside = path[:1] == ("implementation",) and path[2:3] == ("gradient",) and len(path) > 3
    return (*path[:2], *path[3:]) if inside else path


def dotted(path: locate.Path, start: str = "") -> str:
    """Return "implementation[1].gradient"; a key that comes first follows `start`."""
    texts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    if texts and texts[0].startswith("."):
        texts[0] = start + texts[0][1:]
    return "".join(texts)


def open_draft(name: str, sets: Iterable[str] = ()) -> Draft:
    """Return the draft of a preset or a file, with `KEY=VALUE` texts laid over it.

    Raises:
        ConfigurationError: there is no such file, it is not TOML, or a flag is not KEY=VALUE.
    """
    path = _path_of(name)
    try:
        return with_sets(read(path.read_text(encoding="utf-8"), str(path)), sets)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(Mistake(name, f"cannot be read: {error}")) from error


def read(text: str, file: str) -> Draft:
    """Return the draft of a TOML text.

    Raises:
        ConfigurationError: it is not TOML.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{file}:{line[1]}" if line else file
        raise ConfigurationError(Mistake(where, f"not valid TOML: {error}")) from error
    return Draft(file, data, locate.lines(text))


def with_sets(draft: Draft, sets: Iterable[str]) -> Draft:
    """Return the draft with `KEY=VALUE` texts laid over it: `batch_size=[8, 16]`.

    Raises:
        ConfigurationError: one of them has no known key.
    """
    data, flags, mistakes = deepcopy(dict(draft.data)), dict(draft.flags), []
    for text in sets:
        key, equals, value = text.partition("=")
        flag = f"--set {key.strip()}"
        path = _path_of_key(key.strip())
        if not equals or path is None:
            hint = "write KEY=VALUE" if not equals else f"there is no such key{_known(key)}"
            mistakes.append(Mistake(f"--set {text}", hint))
            continue
        table = data
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                mistakes.append(Mistake(flag, f"{part} is {table!r}, not a table"))
                break
        else:
            table[path[-1]] = _value(value.strip())
            flags[path] = flag
    if mistakes:
        raise ConfigurationError(*mistakes)
    return replace(draft, data=data, flags=flags)


def with_name(draft: Draft, name: str) -> Draft:
    """Return the draft under the name that --name gives it."""
    header = draft.data.get("sweep", {})
    if not isinstance(header, dict):
        return draft  # of which the form complains
    data = {**draft.data, "sweep": {**header, "name": name}}
    return replace(draft, data=data, flags={**draft.flags, ("sweep", "name"): "--name"})


SHORT = {  # a key that can be written without its table, and its table
    **dict.fromkeys(("name", "description", "blocks", "seed"), "sweep"),
    **dict.fromkeys(
        ("sequence_length", "cell", "task", "hidden_size", "batch_size", "device", "dtype"), "axes"
    ),
    **dict.fromkeys(("threads", "update", "optimizer", "learning_rate"), "axes"),
    **dict.fromkeys(("passes", "aa_copy", "speed", "training", "capacity"), "measure"),
    **dict.fromkeys(("trial_timeout", "memory"), "limits"),
}
TABLES = ("sweep", "axes", "measure", "limits")


def _path_of_key(key: str) -> tuple[str, ...] | None:
    first, *rest = key.split(".")
    if first in TABLES and rest:
        return (first, *rest)
    return (SHORT[first], first, *rest) if first in SHORT else None


def _known(key: str) -> str:
    return f"{meant(key, SHORT)} It can be: {', '.join(SHORT)}"


def _value(text: str) -> object:
    """Return the text read as TOML; as it stands where it is none, so quotes can be left out."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _path_of(name: str) -> Path:
    """Return the file of a preset's name, or of a path."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if path.is_file():
            return path
        raise ConfigurationError(Mistake(name, "there is no such file"))
    presets = [preset.stem for preset in sorted(PRESETS.glob("*.toml"))]
    if name in presets:
        return PRESETS / f"{name}.toml"
    what = f'there is no preset "{name}"{meant(name, presets)}'
    advice = f"The presets are: {', '.join(presets)}; a file of your own ends in .toml"
    raise ConfigurationError(Mistake("", f"{what} {advice}"))
