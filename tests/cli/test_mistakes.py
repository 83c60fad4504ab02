"""Whatever a user gets wrong is one sentence that names the place, never a traceback."""

import errno
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from commands import TINY, bptt, sweep

from harness.cli import exits
from harness.cli.group import main
from harness.cli.report import SWEEP
from harness.store import JOURNAL

ARGUMENTS = ("--set", "sequence_length=4", "--only", "implementation=full")


def test_a_command_that_is_none_gets_a_suggestion_and_a_list() -> None:
    refused = bptt("swep")
    assert refused.exit_code == 2
    assert "there is no command 'swep'; did you mean \"sweep\"? There are: sweep," in refused.stderr
    assert "did you mean" not in bptt("zzz").stderr


def test_a_shell_that_completes_after_a_mistyped_command_hears_no_error() -> None:
    shell = ShellComplete(main, {}, "bptt", "_BPTT_COMPLETE")
    assert "--preset" not in [item.value for item in shell.get_completions(["swep"], "--")]
    assert shell.get_completions([], "swe")[0].value == "sweep"


@pytest.mark.parametrize("name", [JOURNAL, SWEEP])
def test_results_that_cannot_be_written_are_named(tmp_path: Path, name: str) -> None:
    blocked = tmp_path / "results" / "tiny" / name
    blocked.mkdir(parents=True)  # where a file would be
    refused = sweep(tmp_path, *ARGUMENTS, "--resume", text=TINY)
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1].startswith(f"{blocked}: ")


def test_a_job_that_cannot_be_written_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bptt.sh").symlink_to("nowhere/bptt.sh")
    refused = bptt("new", "slurm")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == "bptt.sh: No such file or directory\n"


def test_looking_where_no_sweep_wrote_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPTT_RESULTS", str(tmp_path))  # as a sweep takes it
    for asked in (("--status", "oom"), ("0123",)):
        refused = bptt("show", *asked)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert refused.stderr.startswith(f"--results: {tmp_path} holds no results of a sweep")


def test_a_full_disk_is_told_and_what_is_no_file_is_a_bug() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")  # without a name, as a write's is
    assert exits.of_a_file(full) == "a disk: no space is left; make room, then run it again"
    assert exits.of_a_file(PermissionError(errno.EACCES, "denied", "a/b")) == "a/b: denied"
    assert exits.of_a_file(BrokenPipeError(errno.EPIPE, "Broken pipe")) == ""
