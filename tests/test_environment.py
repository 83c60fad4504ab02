"""A record says what machine, versions and settings its numbers depend on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness import environment

KEYS = {
    *("host", "platform", "cpu_model", "cores", "memory_bytes", "gpu", "python", "torch", "ray"),
    *("numpy", "blas", "cuda", "commit", "dirty", "threads", "affinity", "niceness", "governor"),
    *("load", "variables", "flushes_denormals"),
}


def test_it_has_every_key_and_is_plain_data() -> None:
    got = environment.describe()
    assert set(got) == KEYS
    assert json.loads(json.dumps(got)) == got


def test_it_names_the_versions_that_are_installed_and_the_threads_in_force() -> None:
    got = environment.describe()
    assert (got["torch"], got["threads"]) == (torch.__version__, torch.get_num_threads())
    assert got["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_commit_is_the_checkouts() -> None:
    root = Path(environment.__file__).parent.parent
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    ask = ["git", "-C", str(root), "rev-parse", "HEAD"]
    head = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    code = "from harness import environment; print(environment.describe()['commit'])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == head  # a process of its own: the commit is asked for only once


def test_only_variables_that_matter_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SOME_SECRET_TOKEN", "x")
    got = environment.describe()["variables"]
    assert got["OMP_NUM_THREADS"] == "3"
    assert "SOME_SECRET_TOKEN" not in got


def test_describing_imports_no_torch() -> None:
    code = (
        "import sys; from harness import environment; got = environment.describe();"
        "environment.devices();"
        "assert got['threads'] is None and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_there_is_always_a_cpu_and_hidden_gpus_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert environment.devices() == ("cpu",)


def test_the_load_is_the_systems() -> None:
    assert environment.load() == pytest.approx(os.getloadavg()[0], abs=1.0)
