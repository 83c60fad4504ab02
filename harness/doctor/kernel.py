"""The files in which a Linux kernel says how it is, under a root that a test may choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CPUS = "sys/devices/system/cpu"


@dataclass(frozen=True, slots=True)
class Kernel:
    """Reads what is there; what is not there, or not for us to read, is None."""

    root: Path = Path("/")

    def text(self, path: str) -> str | None:
        """Return a file's text without the spaces around it; None for one that says nothing."""
        try:
            return (self.root / path).read_text(errors="replace").strip() or None
        except (OSError, ValueError):
            return None

    def number(self, path: str) -> int | None:
        """Return the whole number that a file holds."""
        text = self.text(path)
        return int(text) if text is not None and text.lstrip("-").isdigit() else None

    def fields(self, path: str) -> dict[str, int]:
        """Return a file of lines "name: 12 kB", or "name 12", as numbers by name."""
        found = {}
        for line in (self.text(path) or "").splitlines():
            words = line.replace(":", " ").split()
            if len(words) >= 2 and words[1].isdigit():
                found[words[0]] = int(words[1])
        return found

    def every(self, pattern: str) -> Iterator[str]:
        """Yield the texts of all files that match, in the order of their names."""
        for path in sorted(self.root.glob(pattern)):
            text = self.text(str(path.relative_to(self.root)))
            if text is not None:
                yield text

    @property
    def hypervisor(self) -> bool:
        """Return whether the processor says that it is a virtual one."""
        flags = next(
            (
                line
                for line in (self.text("proc/cpuinfo") or "").splitlines()
                if line.startswith("flags")
            ),
            "",
        )
        return "hypervisor" in flags.split()
