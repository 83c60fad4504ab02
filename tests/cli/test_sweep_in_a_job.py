"""Inside `ray job submit`, a sweep joins that cluster and keeps nothing where Ray deletes."""

from pathlib import Path

import pytest
from commands import TINY, bptt

from harness.cli import plan as plans
from harness.executors import inline
from harness.executors.settings import Site

IN_A_JOB = {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}  # what Ray sets, among others
SMALL = ("--set", "sequence_length=4", "--only", "implementation=full", "--executor", "inline")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in IN_A_JOB.items():
        monkeypatch.setenv(name, value)
    Path("tiny.toml").write_text(TINY)
    return tmp_path


def test_results_that_would_be_deleted_are_refused(job: Path) -> None:
    refused = bptt("sweep", "tiny.toml", *SMALL)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("--results: 'results' is in the working directory of this Ray")
    assert "BPTT_RESULTS" in refused.stderr
    assert bptt("sweep", "tiny.toml", *SMALL, "--dry-run", "--probe-seconds", "0").exit_code == 0


@pytest.mark.parametrize(
    ("variables", "arguments", "field", "want"),
    [
        ({"RAY_ADDRESS": "192.0.2.1:6379"}, (), "address", "192.0.2.1:6379"),
        ({"RAY_ADDRESS": "192.0.2.1:6379"}, ("--address", "far:1"), "address", "far:1"),
        ({"BPTT_RESULTS": "/kept"}, (), "results", Path("/kept")),
        ({"BPTT_RESULTS": "/kept"}, ("--results", "/other"), "results", Path("/other")),
    ],
    ids=["address", "address named", "results", "results named"],
)
def test_address_and_results_come_from_the_environment_unless_named(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    arguments: tuple[str, ...],
    field: str,
    want: object,
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(
        plans, "made", lambda options: seen.append(getattr(options, field)) or 1 / 0
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ZeroDivisionError):
        bptt("sweep", "quick", *arguments)
    assert seen == [want]


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_a_cluster_that_asked_for_no_token_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)  # which alone says nothing
    found = plans.Executor(inline.run, lambda _: Site(("cpu",), is_open), parallel=True)
    monkeypatch.setitem(plans.EXECUTORS, "ray", found)
    Path("tiny.toml").write_text(TINY)
    Path("results/tiny").mkdir(parents=True)
    Path("results/tiny/records.jsonl").write_text("{}\n")  # so that nothing runs
    said = bptt("sweep", "tiny.toml", "--address", "192.0.2.1:6379").stderr
    assert ("192.0.2.1:6379 asked for no token: whoever reaches a port" in said) == is_open
    assert "holds records already" in said
