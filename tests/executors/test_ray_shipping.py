"""Nodes that have Python, torch and Ray, and nothing of the checkout, run a sweep all the same."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from trials import trial

from harness import environment
from harness.executors import ray
from harness.executors.settings import Settings, UnlikeNodes
from harness.trial import Choice, Implementation

pytestmark = pytest.mark.ray

PYTHON = sys._base_executable  # finds the packages of PYTHONPATH, but no editable installation
PACKAGES = sysconfig.get_paths()["purelib"]
NODES = """
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
input()
cluster.shutdown()
"""
METHOD = '''"""Full BPTT by another name.

Source: a test.
"""

from harness.contract import GradientMethod


class Elsewhere(GradientMethod):
    def gradient(self, model, window, carry, hook=None):
        hidden, state = model.roll(window.inputs, carry, window.start, hook)
        return model.gradient_of(model.loss(hidden, window.targets, window.weights)), state
'''
TASK = '''"""A task that tells what its data pack holds.

Source: a test.
"""

from harness import data
from harness.contract import Task
from tasks.adding import Adding


class Told(Adding, Task):
    packs = ("speeches",)

    def batch(self, draw, generator):
        raise RuntimeError(f"the pack holds {data.PACKS['speeches'].file.read_text()}")
'''


@dataclass(frozen=True)
class Sweep:
    planned: list
    records: list
    left: list  # folders on the nodes, after it
    refused: str  # what was said where torch was another


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Run on two nodes whose user has an empty home, and lose the files once trials run."""
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    (here / "elsewhere.py").write_text(METHOD)
    (here / "told.py").write_text(TASK)
    (here / "speeches-0.1.2.tar").write_text("what was launched")
    files = {"plugins": (str(here / "elsewhere.py"), str(here / "told.py")), "hidden_size": 3}
    method = Implementation(Choice("elsewhere"), label="elsewhere")
    fields = {"measurement": "gradients", "implementation": method, **files}
    planned = [trial("elman", **fields), trial("elman", task=Choice("told"), **fields)]
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    plain = {"PYTHONPATH": PACKAGES, "HOME": str(there), "TMPDIR": str(there)}
    nodes = subprocess.Popen(
        [PYTHON, "-c", NODES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=there,
        env={**os.environ, **loopback, **plain, "RAY_USAGE_STATS_ENABLED": "0"},
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**loopback, "BPTT_DATA": str(here)}.items():
            patch.setenv(name, value)
        patch.chdir(here)  # Ray puts a driver's working directory on its workers' path
        try:
            settings = Settings(address=nodes.stdout.readline().strip())
            refused = with_another_torch(patch, here / "other", settings)
            records = list(ray.run(planned, settings, lambda *_: lose(files["plugins"], here)))
            left = [path.name for path in there.iterdir() if path.name.startswith("bptt-")]
            yield Sweep(planned, records, left, refused)
        finally:
            nodes.communicate("\n", timeout=30)


def with_another_torch(patch, folder, settings):
    """Return how a launching machine with torch 0.0.1 is refused."""
    (folder / "torch-0.0.1.dist-info").mkdir(parents=True)
    (folder / "torch-0.0.1.dist-info" / "METADATA").write_text("Name: torch\nVersion: 0.0.1\n")
    with patch.context() as inner:
        inner.syspath_prepend(folder)
        with pytest.raises(UnlikeNodes) as refusal:
            next(ray.run([trial("elman")], settings))
    return str(refusal.value)


def lose(plugins, cache):
    for path in (*map(Path, plugins), cache / "speeches-0.1.2.tar"):
        path.unlink(missing_ok=True)


def test_the_nodes_python_finds_no_harness(tmp_path):
    done = subprocess.run(
        [PYTHON, "-c", "import numpy, harness"],
        cwd=tmp_path,
        env={"PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
    )
    assert "No module named 'harness'" in done.stderr


def test_a_plugin_file_is_there_though_it_was_deleted_after_the_launch(sweep):
    (record,) = [each for each in sweep.records if each.trial == sweep.planned[0]]
    assert record.status == "done", record.reason
    assert record.environment["commit"] == (environment.commit().partition("-")[0] or None)


def test_a_data_pack_is_there(sweep):
    (record,) = [each for each in sweep.records if each.trial == sweep.planned[1]]
    assert record.reason.startswith("RuntimeError: the pack holds what was launched")


def test_no_file_is_left_on_them(sweep):
    assert sweep.left == []


def test_another_torch_is_refused_in_a_sentence_before_anything_runs(sweep):
    ours = environment.describe()["torch"].partition("+")[0]
    assert f" has torch {ours} where the sweep was launched with torch 0.0.1;" in sweep.refused
    assert "\n" not in sweep.refused
