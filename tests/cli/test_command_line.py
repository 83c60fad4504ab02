"""The command that begins a sweep is told again, when it is interrupted and in its results."""

import shlex

import pytest
from rigs import trial_of

from harness.cli import ending
from harness.cli import plan as plans
from harness.cli.sweep import command
from harness.trial import Record

GIVEN = {  # of every parameter a value that is not its default
    "preset": ["mine.toml"],
    "sets": ["--set", "blocks=2", "--set", "cell=[lstm, gru]"],
    "only": ["--only", "T>=128 cell=lstm"],
    "address": ["--address", "local"],
    "executor": ["--executor", "inline"],
    "plugins": ["--plugin", "a rule.py", "--plugin", "b.py"],
    "name": ["--name", "later"],
    "results": ["--results", "else where"],
    "offline": ["--offline"],
    "allowed": ["--allow-failures", "oom,timeout"],
    "as_json": ["--json"],
    "ray_output": ["--ray-output"],
}
OF_ONE_COMMAND = {  # how it goes on is not how it began
    "resume": ["--resume"],
    "rerun": ["--rerun", "status=oom"],
    "dry_run": ["--dry-run"],
    "probe_seconds": ["--probe-seconds", "3"],
}
NAMES = [parameter.name for parameter in command.params]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "BPTT_RESULTS"):
        monkeypatch.delenv(name, raising=False)


def parsed(*words: str) -> plans.Options:
    return plans.Options(**command.make_context("sweep", list(words)).params)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_in_the_command_or_known_to_be_of_one_command(name: str) -> None:
    words = (GIVEN | OF_ONE_COMMAND)[name]
    options = parsed(*words)
    assert getattr(options, name) != getattr(parsed(), name), "a default shows nothing"
    program, sweep, *again = plans.command_line(options)
    assert (program, sweep) == ("bptt", "sweep")
    assert parsed(*again) == (options if name in GIVEN else parsed())


def test_all_of_them_together_are_told_again() -> None:
    options = parsed(*(word for words in GIVEN.values() for word in words))
    assert parsed(*plans.command_line(options)[2:]) == options


def test_the_command_that_shows_a_failure_can_be_pasted() -> None:
    failed = Record(trial_of("memory"), "failed", "on purpose")
    (line,) = ending._failures([failed], parsed("--results", "else where"))
    words = shlex.split(line.partition(": ")[2])
    assert words == ["bptt", "show", "--status", "failed", "--results", "else where"]
