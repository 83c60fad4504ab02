"""A dry run foretells time and memory from short trials; the sweep finds them again."""

import json
from pathlib import Path

import pytest
from commands import TINY, sweep
from rigs import trial_of

from harness import store
from harness.cli.estimate import _estimates, _wall_seconds, basis
from harness.cli.probes import FOLDER, Probes
from harness.cli.theory import demands
from harness.executors import cores
from harness.forecast.expected import Expected
from harness.forecast.machine import Machine
from harness.registry import Registry
from harness.store import read_expected
from harness.trial import Record

WIDE = TINY.replace("[4, 6]", "[4, 8, 64]").replace('["gradients"]', '["memory", "gradients"]')
PLAIN = '''"""An Elman cell without a fused kernel.

Source: a test.
"""

import torch

from harness.contract import Cell


class Plain(Cell):
    """One step."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.mix = torch.nn.Linear(input_size + hidden_size, hidden_size)

    def advance(self, x, state):
        return (torch.tanh(self.mix(torch.cat([x, state[0]], -1))),)
'''


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose cache holds the probes of a dry run, and what that said."""
    folder = tmp_path_factory.mktemp("probed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BPTT_DATA", str(folder / "cache"))
        said = sweep(folder, "--dry-run", "--json", text=WIDE)
    assert said.exit_code == 0, said.output
    (folder / "said.json").write_text(said.stdout)
    return folder


def told(folder: Path) -> dict:
    return json.loads((folder / "said.json").read_text())


def test_a_dry_run_times_every_series_and_pass_and_leaves_no_results(probed: Path) -> None:
    (kept,) = (probed / "cache" / FOLDER).iterdir()
    trials = [one["trial"] for one in json.loads(kept.read_text())["records"]]
    asked = {(t["implementation"]["label"], t["sequence_length"], t["measurement"]) for t in trials}
    each = {(name, T, m) for name in ("full", "cut") for T in (4, 8) for m in ("speed", "memory")}
    assert asked == each | {("full", T, "gradients") for T in (4, 8)}
    assert not (probed / "results").exists()


def test_its_estimate_holds_every_trial_and_adds_up(probed: Path) -> None:
    found = told(probed)
    assert set(found["expected"]) == set(found["trials"])
    seconds = sum(one["seconds"] for one in found["expected"].values())
    assert found["seconds"] == pytest.approx(seconds)  # inline: one after another
    assert seconds == pytest.approx(sum(one["seconds"] for one in found["implementations"]))
    assert found["basis"].startswith("10 probe timings of ")


@pytest.fixture(scope="module")
def followed(probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of the sweep that follows the dry run."""
    folder = tmp_path_factory.mktemp("followed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BPTT_DATA", str(probed / "cache"))
        assert sweep(folder, text=WIDE).exit_code == 0
    return folder / "results" / "tiny"


def test_the_sweep_that_follows_keeps_the_estimates_of_its_dry_run(
    probed: Path, followed: Path
) -> None:
    kept = read_expected(followed)
    assert kept.basis == told(probed)["basis"]
    assert {name: one.seconds for name, one in kept.trials.items()} == {
        name: one["seconds"] for name, one in told(probed)["expected"].items()
    }


def test_peaks_are_near_what_the_memory_pass_then_measures(followed: Path) -> None:
    expected = read_expected(followed).trials
    done = [r for r in store.read(followed).records if r.trial.measurement == "memory"]
    assert len(done) == 6
    for record in done:
        peak = expected[record.trial.id].peak_bytes
        assert peak == pytest.approx(record.values["peak_bytes"], rel=0.3)


def test_without_probes_the_table_says_how_little_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPTT_DATA", str(tmp_path / "cache"))
    said = sweep(tmp_path, "--dry-run", "--probe-seconds", "0", text=WIDE).stdout
    assert "to within a factor of 3.0; basis: no probe timings" in said
    assert not (tmp_path / "cache").exists()


def test_what_will_not_fit_is_counted(tmp_path: Path) -> None:
    arguments = ("--dry-run", "--probe-seconds", "0", "--set", "limits.memory=10KiB")
    said = sweep(tmp_path, *arguments, text=WIDE).stdout
    (full,) = (line for line in said.splitlines() if line.startswith("  full"))
    assert full.endswith("above the 10 KiB there are: 2 trials likely oom")
    roomy = sweep(tmp_path, *arguments[:3], text=WIDE).stdout
    assert "likely oom" not in roomy


@pytest.mark.parametrize(
    ("update", "stride", "updates"), [("window", 16, 3), ("sequence", 16, 1), ("window", 64, 1)]
)
def test_a_sequence_makes_an_update_a_window_where_parameters_move_so(
    update: str, stride: int, updates: int
) -> None:
    cut = trial_of(
        "training",
        "truncated_bptt",
        params={"stride": stride, "depth": stride},
        sequence_length=40,
        update=update,
    )
    assert demands([cut], Registry.scan())[cut.id].updates == updates


def test_the_whole_is_as_long_as_trials_that_share_no_core_and_no_accelerator() -> None:
    trials = [
        trial_of("memory", threads=4),  # four of them
        trial_of("memory", device="cuda"),  # two
        trial_of("speed", device="cuda"),  # two
        trial_of("speed"),
    ]
    expected = {trial.id: Expected(8.0, None) for trial in trials}
    assert _wall_seconds(trials, expected, Machine(16, 2)) == 2 + 4 + 4 + 8


def test_accelerators_are_counted_without_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(cores, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cores.gpus_here() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert cores.gpus_here() == 1


def test_of_an_accelerators_memory_a_peak_is_told_and_no_limit() -> None:
    for device, too_large in (("cpu", 1), ("cuda", 0)):
        trial = trial_of("memory", device=device)
        expected = {trial.id: Expected(1.0, 2048.0)}
        (found,) = _estimates([trial.implementation], [trial], expected, 1024.0)
        assert (found.peak_bytes, found.too_large) == (2048.0, too_large)


def test_what_will_reach_its_time_limit_is_counted_and_no_longer_than_that(tmp_path: Path) -> None:
    arguments = (
        "--dry-run",
        "--probe-seconds",
        "0",
        "--set",
        "limits.trial_timeout=0.001s",
        "--json",
    )
    found = json.loads(sweep(tmp_path, *arguments, text=WIDE).stdout)
    assert [one["too_long"] for one in found["implementations"]] == [6, 6]
    assert found["seconds"] == pytest.approx(12 * 0.001)
    said = sweep(tmp_path, *arguments[:-1], text=WIDE).stdout
    assert "full: 6 trials will probably reach their time limit" in said


def test_trials_that_no_plugin_runs_are_left_out_and_told(tmp_path: Path) -> None:
    text = TINY + '[[implementation]]\nname = "fused"\ngradient = "native"\n'
    cell = ("--plugin", tmp_path / "plain.py", "--set", "cell=plain")
    (tmp_path / "plain.py").write_text(PLAIN)
    said = sweep(tmp_path, "--dry-run", "--probe-seconds", "0", *cell, text=text).stdout
    assert "2 trials are not in it: no plugin runs them, or their data are not here yet" in said


def test_tasks_whose_data_are_not_here_are_not_probed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPTT_DATA", str(tmp_path / "cache"))
    said = sweep(tmp_path, "--dry-run", "--set", "task=speeches")
    assert "basis: no probe timings" in said.stdout
    assert not (tmp_path / "cache").exists()


def test_the_basis_tells_probes_that_were_cut_short(probed: Path) -> None:
    (kept,) = (probed / "cache" / FOLDER).iterdir()
    records = tuple(map(Record.from_json, json.loads(kept.read_text())["records"]))
    assert basis(Probes(records[:4], 10, 0.0)).startswith("4 of 10 probe timings of ")
    assert basis(Probes(records, 10, 0.0)).startswith("10 probe timings of ")


def test_resuming_keeps_the_first_estimate(tmp_path: Path) -> None:
    sweep(tmp_path, "--only", "T=4")
    folder = tmp_path / "results" / "tiny"
    first = read_expected(folder).trials
    sweep(tmp_path, "--resume")
    later = read_expected(folder).trials
    assert len(first) == 2
    assert len(later) == 4
    assert {name: later[name] for name in first} == first
