"""An address is a cluster's head, or this machine; what else it may be taken for is refused."""

from pathlib import Path

import pytest
from commands import TINY, bptt

from harness.cli import doctor
from harness.cli import plan as plans
from harness.executors import inline
from harness.executors.settings import Settings, Site, host_and_port

HEAD = "192.0.2.1:6379"
DRY = ("--dry-run", "--probe-seconds", "0")


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Return the addresses that a sweep was planned for; it then has the devices of this one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    Path("tiny.toml").write_text(TINY)
    asked: list[str | None] = []

    def look(settings: Settings) -> Site:
        asked.append(settings.address)
        return Site(("cpu",))

    monkeypatch.setitem(plans.EXECUTORS, "ray", plans.Executor(inline.run, look, parallel=True))
    return asked


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("head:6379", ("head", 6379)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("[::1]:6379", ("::1", 6379)),
        *((text, None) for text in ("", "head", ":6379", "head:", "head:0", "head:65536")),
        *((text, None) for text in ("::1:6379", "[head]:6379", "a b:6379", "ray://head:10001")),
    ],
)
def test_a_head_is_a_host_and_a_port(address: str, parts: tuple[str, int] | None) -> None:
    assert host_and_port(address) == parts


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ray://head:10001", "'ray://head:10001' is for Ray Client, through which no sweep runs"),
        ("http://head:8265", "'http://head:8265' is for `ray job submit`; give the HOST:PORT"),
        ("head", "'head' is no address; give the HOST:PORT of the cluster's head"),
        ("", "'' is no address"),
    ],
)
@pytest.mark.parametrize("command", [("sweep", "tiny.toml", *DRY), ("doctor",)], ids=["s", "d"])
def test_what_is_no_head_is_refused_before_anything_is_tried(
    seen: list[str | None], command: tuple[str, ...], address: str, sentence: str
) -> None:
    refused = bptt(*command, "--address", address)
    assert (refused.exit_code, refused.stdout, seen) == (2, "", [])
    assert refused.stderr.startswith(f"--address: {sentence}")


def test_a_wrong_address_of_the_environment_is_told_with_its_name(
    seen: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")  # as `ray job submit` wants it
    refused = bptt("sweep", "tiny.toml", *DRY)
    assert refused.stderr.startswith("RAY_ADDRESS: 'http://head:8265' is for `ray job submit`")


@pytest.mark.parametrize(
    ("address", "cluster"),
    [("local", None), ("auto", "auto"), (HEAD, HEAD), ("[::1]:1", "[::1]:1")],
)
@pytest.mark.parametrize("named", [True, False], ids=["named", "environment"])
def test_local_means_this_machine_and_auto_is_left_to_ray(
    seen: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    cluster: str | None,
    named: bool,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "far:1" if named else address)
    said = bptt("sweep", "tiny.toml", *DRY, *(("--address", address) if named else ()))
    assert (said.exit_code, seen) == (0, [cluster])
    assert f"--address {address}" in said.stdout.replace("'", "")  # or the environment's would win


def test_the_doctor_looks_where_a_sweep_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(doctor, "examined", lambda cluster, pairs: asked.append(cluster) or [])
    monkeypatch.setenv("RAY_ADDRESS", HEAD)
    assert f"on every node of {HEAD}" in bptt("doctor").stderr
    assert "every node" not in bptt("doctor", "--address", "local").stderr
    assert asked == [HEAD, None]


INLINE = ("sweep", "tiny.toml", "--executor", "inline", *DRY)


def test_a_cluster_named_for_a_sweep_in_this_process_is_a_mistake(seen: list[str | None]) -> None:
    refused = bptt(*INLINE, "--address", HEAD)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"--address: '{HEAD}' is a cluster, and --executor inline")
    assert bptt(*INLINE, "--address", "local").exit_code == 0


def test_a_cluster_of_the_environment_is_told_to_have_no_part_in_it(
    seen: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", HEAD)
    said = bptt(*INLINE)
    assert said.exit_code == 0
    assert said.stderr == f"RAY_ADDRESS is '{HEAD}', which --executor inline makes no use of\n"
    assert "--address" not in said.stdout
