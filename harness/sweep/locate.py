"""Where in a TOML text each key and each array item stands: `tomllib` does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]  # ("implementation", 1, "gradient", "depth")

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""+|\'\'\'.*?\'\'\'+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]+")


def lines(text: str) -> Mapping[Path, int]:
    """Return the line, counted from 1, of every key and array item of a valid TOML text."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """Walks once over a text that `tomllib` has accepted, so it need not look for mistakes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.tables: dict[Path, int] = {}  # [[array]] -> how many were seen

    def document(self) -> None:
        """Visit every table of the file."""
        table: Path = ()
        while self.next_is():
            if self.take("[["):
                table = self.header(again=True)
                self.take("]]")
            elif self.take("["):
                table = self.header(again=False)
                self.take("]")
            else:
                self.pair(table)

    def header(self, *, again: bool) -> Path:
        """Return the table that a header opens, after noting its line."""
        path: Path = ()
        parts = self.key()
        for depth, part in enumerate(parts, 1):
            path = (*path, part)
            self.note(path)
            if again and depth == len(parts):
                self.tables[path] = self.tables.get(path, 0) + 1
            if path in self.tables:
                path = (*path, self.tables[path] - 1)
                self.note(path)
        return path

    def pair(self, table: Path) -> None:
        """Visit `key = value`."""
        path = table
        for part in self.key():
            path = (*path, part)
            self.note(path)
        self.take("=")
        self.value(path)

    def key(self) -> list[str]:
        """Return the parts of a dotted key."""
        parts = [self.key_part()]
        while self.take("."):
            parts.append(self.key_part())
        return parts

    def key_part(self) -> str:
        self.skip()
        if self.text[self.at] in "\"'":
            quoted = self.match(_STRING)
            return str(tomllib.loads(f"k = {quoted}")["k"])
        return self.match(_BARE_KEY)

    def value(self, path: Path) -> None:
        """Visit whatever stands right of the equals sign."""
        self.skip()
        if self.take("["):
            index = 0
            while not self.take("]"):
                self.skip()
                self.note((*path, index))
                self.value((*path, index))
                self.take(",")
                index += 1
        elif self.take("{"):
            while not self.take("}"):
                self.pair(path)
                self.take(",")
        elif self.text[self.at] in "\"'":
            self.match(_STRING)
        else:
            self.match(_BARE_VALUE)

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, self.at) + 1)

    def next_is(self) -> bool:
        """Skip what has no meaning and return whether anything follows."""
        self.skip()
        return self.at < len(self.text)

    def skip(self) -> None:
        self.match(_BLANK)

    def take(self, mark: str) -> bool:
        """Step over `mark` if it comes next."""
        self.skip()
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) if found else 0
        return found

    def match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        assert found is not None, "tomllib has accepted the text"
        self.at = found.end()
        return found.group()
