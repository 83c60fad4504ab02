"""The command `bptt`."""

from harness.cli.group import main

__all__ = ["main"]
