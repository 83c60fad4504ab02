"""The command line, called in this process on a sweep that takes a second."""

from pathlib import Path

from click.testing import CliRunner, Result

from harness.cli import main

TINY = """schema = 1
[sweep]
name = "tiny"
blocks = 1
[axes]
sequence_length = [4, 6]
cell = "elman"
task = "adding"
hidden_size = 4
batch_size = 2
device = "cpu"
[[implementation]]
name = "full"
gradient = "full_bptt"
baseline = true
[[implementation]]
name = "cut"
gradient = { use = "truncated_bptt", stride = 2, depth = 2 }
[measure]
passes = ["gradients"]
"""


def bptt(*arguments: str | Path) -> Result:
    """Return what the command said and its exit code; an unexpected error is not hidden."""
    texts = [str(argument) for argument in arguments]
    return CliRunner().invoke(main, texts, prog_name="bptt", catch_exceptions=False)


def sweep(folder: Path, *arguments: str | Path, text: str = TINY) -> Result:
    """Run a sweep in this process, with its results in `folder`."""
    path = folder / "tiny.toml"
    path.write_text(text)
    return bptt("sweep", path, "--executor", "inline", "--results", folder / "results", *arguments)
