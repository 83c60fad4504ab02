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
    *("load", "variables", "flushes_denormals", "gpu_driver", "fp32_precision", "cudnn"),
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


@pytest.mark.parametrize(
    "name",
    ["NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"],
)
def test_variables_that_change_a_gpus_arithmetic_are_kept(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("CUDA_HOME", "x")
    got = environment.describe()["variables"]
    assert got[name] == "1"
    assert "CUDA_HOME" not in got


def test_what_a_gpu_may_round_to_is_told_as_it_is() -> None:
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for allowed in (True, False):
            for backend in backends:
                backend.allow_tf32 = allowed
            told = set(environment.describe()["fp32_precision"].values())
            assert (told == {"tf32"}) == allowed
            assert ("tf32" in told) == allowed
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def test_a_torch_for_cuda_is_asked_nothing_that_opens_its_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def opens(*_: object) -> None:
        pytest.fail("this would open CUDA's driver")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.__config__, "show", opens)
    monkeypatch.setattr(torch.backends.cudnn, "version", opens)
    for mkl in (True, False):
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda mkl=mkl: mkl)
        got = environment.describe()
        assert got["blas"] == ("mkl" if mkl else None)
        assert (got["fp32_precision"], got["cudnn"]) == (None, None)


@pytest.mark.parametrize(
    "said",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Sep 1\nGCC version: 12.2",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build (x)",
    ],
    ids=["closed", "open"],
)
def test_the_driver_is_the_kernel_modules_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    monkeypatch.setattr(environment, "DRIVER", tmp_path / "version")
    assert environment._gpu_driver() is None
    (tmp_path / "version").write_text(said)
    assert environment._gpu_driver() == "580.159.04"


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
