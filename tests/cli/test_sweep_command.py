"""`bptt sweep` runs, keeps, resumes, reports, and says by its exit code how it went."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import TINY, bptt, sweep

from harness import store
from harness.cli.report import source
from harness.store import EXPECTED, JOURNAL, PLANNED

WRONG = '''"""Twice the gradient, which claims to be exact.

Source: a test.
"""

from dataclasses import dataclass

from harness.contract import Gradient, GradientMethod
from harness.model import detach


@dataclass
class Twice(GradientMethod):
    """Doubles."""

    def claim(self, length, cell):
        return "exact"

    def gradient(self, model, window, carry, hook=None):
        hidden, state = model.roll(window.inputs, carry, window.start, hook)
        found = model.gradient_of(model.loss(hidden, window.targets, window.weights))
        RAISE
        doubled = {name: 2 * grad for name, grad in found.params.items()}
        return Gradient(found.loss, doubled), detach(state)
'''


def with_plugin(folder: Path, code: str) -> str:
    (folder / "twice.py").write_text(code)
    text = TINY.replace('{ use = "truncated_bptt", stride = 2, depth = 2 }', '"twice"')
    return 'plugins = ["twice.py"]\n' + text


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept")
    done = sweep(folder)
    assert done.exit_code == 0, done.output
    return folder


def journal(folder: Path) -> store.Journal:
    return store.read(folder / "results" / "tiny")


def test_a_sweep_leaves_its_records_its_resolved_file_and_a_report(swept: Path) -> None:
    results = swept / "results" / "tiny"
    assert [record.status for record in journal(swept).records] == ["done"] * 4
    files = {JOURNAL, PLANNED, EXPECTED, "sweep.toml", "report"}
    assert {path.name for path in results.iterdir()} == files
    assert (results / "report" / "index.html").exists()


def test_the_resolved_file_is_a_sweep_of_the_same_trials(swept: Path, tmp_path: Path) -> None:
    text = (swept / "results" / "tiny" / "sweep.toml").read_text()
    assert sweep(tmp_path, text=text).exit_code == 0
    assert {r.trial.id for r in journal(tmp_path).records} == {
        r.trial.id for r in journal(swept).records
    }


def test_its_output_names_every_trial_the_counts_and_the_report(tmp_path: Path) -> None:
    lines = sweep(tmp_path, "--set", "sequence_length=4").stdout.splitlines()
    assert lines[0] == "tiny: 2 trials = 2 implementations, in 1 block of gradients"
    assert [line.split()[0] for line in lines if line.startswith("[")] == ["[1/2]", "[2/2]"]
    assert any(line.startswith("2 trials in ") and line.endswith(": 2 done") for line in lines)
    assert any(line.startswith("report  ") and line.endswith("index.html") for line in lines)


def test_a_folder_with_records_is_not_written_to_unasked(swept: Path) -> None:
    refused = sweep(swept)
    assert refused.exit_code == 2
    assert "holds records already; add --resume" in refused.stderr
    assert "or --name NAME" in refused.stderr


def test_resuming_runs_only_what_is_left(tmp_path: Path) -> None:
    sweep(tmp_path, "--only", "T=4")
    before = (tmp_path / "results" / "tiny" / JOURNAL).read_bytes()
    resumed = sweep(tmp_path, "--resume")
    after = (tmp_path / "results" / "tiny" / JOURNAL).read_bytes()
    assert "2 are done already" in resumed.stdout
    assert after.startswith(before)
    assert len({r.trial.id for r in journal(tmp_path).records}) == 4
    assert len(after.splitlines()) == 4


def test_a_rerun_makes_the_chosen_records_anew(tmp_path: Path) -> None:
    sweep(tmp_path, "--set", "sequence_length=4")
    old = {r.trial.implementation.label: r.started for r in journal(tmp_path).records}
    sweep(tmp_path, "--set", "sequence_length=4", "--rerun", "implementation=cut")
    new = {r.trial.implementation.label: r.started for r in journal(tmp_path).records}
    assert new["full"] == old["full"]
    assert new["cut"] > old["cut"]


SPEED = (
    *("--set", "sequence_length=4", "--set", "passes=speed", "--set", "blocks=3"),
    *("--set", "measure.speed.warmup_seconds=0", "--set", "measure.speed.min_seconds=0"),
    *("--set", "measure.speed.min_sample_seconds=0", "--set", "measure.speed.min_samples=2"),
    *("--set", "aa_copy=false"),
)


def test_blocks_of_another_protocol_are_not_pooled_with_those_of_this_one(tmp_path: Path) -> None:
    sweep(tmp_path, *SPEED, "--set", "measure.speed.max_samples=3")
    resumed = sweep(tmp_path, *SPEED, "--set", "measure.speed.max_samples=4", "--resume")
    assert len(journal(tmp_path).records) == 12
    assert re.search(r"^6 trials in .*: 6 done$", resumed.stdout, re.MULTILINE)
    results = tmp_path / "results" / "tiny"
    assert {r.trial.protocol["max_samples"] for r in source(results).records} == {4}
    answer = " ".join(resumed.stdout.splitlines())
    assert "3 blocks" in answer
    assert "too few" in answer


def test_a_plugin_change_that_was_reverted_leaves_the_records_of_the_code_that_stands(
    tmp_path: Path,
) -> None:
    first = WRONG.replace("RAISE", "pass").replace("2 * grad", "grad")
    reported, hashes = [], []
    for code in (first, first + "# edited\n", first):
        done = sweep(tmp_path, "--only", "T=4", "--resume", text=with_plugin(tmp_path, code))
        assert re.search(r"^2 trials in .*: 2 done$", done.stdout, re.MULTILINE)
        hashes.append(hashlib.sha256((tmp_path / "twice.py").read_bytes()).hexdigest())
        records = source(tmp_path / "results" / "tiny").records
        reported.append({r.trial.sources.get("gradients/twice") for r in records} - {None})
    assert reported == [{one} for one in hashes]
    assert len(journal(tmp_path).records) == 3


def test_the_report_and_the_counts_keep_what_only_leaves_for_now(tmp_path: Path) -> None:
    sweep(tmp_path, "--only", "T=4")
    done = sweep(tmp_path, "--only", "T=6", "--resume")
    assert re.search(r"^4 trials in .*: 4 done$", done.stdout, re.MULTILINE)
    assert len(source(tmp_path / "results" / "tiny").records) == 4


def test_json_is_one_object_a_line_and_nothing_else(tmp_path: Path) -> None:
    done = sweep(tmp_path, "--json", "--set", "sequence_length=4")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == [
        *("started", "record", "started", "record", "end")
    ]
    assert events[-1]["counts"] == {"done": 2}
    assert (events[-1]["exit_code"], done.exit_code) == (0, 0)


DRY = ("--dry-run", "--probe-seconds", "0")


def test_a_dry_run_says_what_would_run_and_runs_nothing(tmp_path: Path) -> None:
    said = sweep(tmp_path, *DRY)
    assert said.exit_code == 0
    assert "tiny: 4 trials = 2 implementations x 2 sequence lengths" in said.stdout
    assert "start with: bptt sweep" in said.stdout
    assert not (tmp_path / "results").exists()


def test_an_excluded_trial_is_a_record_and_no_failure(tmp_path: Path) -> None:
    exclude = '[[exclude]]\nimplementation = "cut"\nreason = "not today"\n'
    done = sweep(tmp_path, text=TINY + exclude)
    assert done.exit_code == 0
    reasons = {r.reason for r in journal(tmp_path).records if r.status == "skipped"}
    assert reasons == {"not today"}


@pytest.mark.parametrize(
    ("raised", "arguments", "code"),
    [
        ("raise RuntimeError('broken on purpose')", [], 3),
        ("raise RuntimeError('broken on purpose')", ["--allow-failures", "failed"], 0),
        ("raise MemoryError", ["--allow-failures", "oom, timeout"], 0),
        ("pass", [], 5),
    ],
    ids=["failed", "failures allowed", "oom allowed", "a wrong gradient"],
)
def test_the_exit_code_says_how_it_went(
    tmp_path: Path, raised: str, arguments: list[str], code: int
) -> None:
    text = with_plugin(tmp_path, WRONG.replace("RAISE", raised))
    assert sweep(tmp_path, "--only", "T=4", *arguments, text=text).exit_code == code


def test_a_failure_is_a_record_named_with_the_command_that_helps(tmp_path: Path) -> None:
    text = with_plugin(tmp_path, WRONG.replace("RAISE", "raise RuntimeError('on purpose')"))
    done = sweep(tmp_path, "--only", "T=4", text=text)
    (failed,) = [record for record in journal(tmp_path).records if record.status == "failed"]
    assert "on purpose" in failed.reason
    assert f"(bptt show {failed.trial.id})" in done.stdout
    assert "1 failed, each a bug, not a limit: bptt show --status failed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence", "code"),
    [
        (["--set", "bloks=1"], "--set bloks=1: there is no such key; did you mean", 2),
        (
            ["--set", "device=cuda"],
            '--set device: there is no device "cuda" here; there is: cpu',
            6,
        ),
        (
            ["--only", "cell=elmann"],
            "--only: 'cell=elmann' leaves none of 4 trials to run: no trial has cell=elmann; "
            'did you mean "elman"? It can be: elman',
            2,
        ),
        (
            ["--rerun", "status=ooom"],
            "--rerun: there is no status 'ooom'; did you mean \"oom\"?",
            2,
        ),
        (["--rerun", "staus=oom"], "--rerun: there is no 'staus' to compare; did you mean", 2),
        (["--plugin", "nowhere.py"], "nowhere.py: the plugin cannot be read", 2),
        (["--allow-failures", "omm"], "'omm' is not one of done, skipped, oom", 2),
        (["--name", "a/b"], "--name: 'a/b' must name a folder", 2),
        (["--name", ""], "--name: '' must name a folder", 2),
    ],
)
def test_a_mistake_is_a_sentence_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str, code: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    refused = sweep(tmp_path, *arguments)
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert sentence in refused.stderr


def test_a_plugin_file_that_is_not_there_is_told_with_its_line(tmp_path: Path) -> None:
    refused = sweep(tmp_path, text='plugins = [\n  "nope.py"]\n' + TINY)
    assert refused.exit_code == 2
    assert f"tiny.toml:2: plugins[0]: there is no file {tmp_path / 'nope.py'}" in refused.stderr
    assert "a path is relative to the sweep file's folder" in refused.stderr


def test_a_preset_that_is_not_there_is_told_with_those_that_are() -> None:
    refused = bptt("sweep", "quik")
    assert refused.exit_code == 2
    assert 'there is no preset "quik"; did you mean "quick"?' in refused.stderr


def test_results_of_another_schema_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "tiny"
    folder.mkdir(parents=True)
    (folder / JOURNAL).write_text('{"schema": 99}\n')
    refused = sweep(tmp_path, "--resume")
    assert refused.exit_code == 2
    assert "records.jsonl:1: schema 99; this version reads and writes schema 1" in refused.stderr


def test_a_missing_pack_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPTT_DATA", str(tmp_path / "cache"))
    refused = sweep(tmp_path, "--offline", "--set", "task=speeches")
    assert refused.exit_code == 2
    assert "run `bptt fetch speeches`" in refused.stderr
    assert not (tmp_path / "results").exists()


def test_a_dry_run_tells_a_missing_pack_and_whether_it_would_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPTT_DATA", str(tmp_path / "cache"))
    dry = (*DRY, "--set", "task=speeches")
    assert "missing data: speeches, which the sweep downloads first" in sweep(tmp_path, *dry).stdout
    offline = sweep(tmp_path, *dry, "--offline").stdout
    assert "--offline downloads none, so first: bptt fetch speeches\nstart with" in offline
    told = json.loads(sweep(tmp_path, *dry, "--json").stdout)
    assert told["missing_packs"] == ["speeches"]
    assert "missing data" not in sweep(tmp_path, *DRY).stdout


def test_an_inline_sweep_says_nothing_of_torchs_profiler(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    done = run_apart(
        tmp_path, "--executor", "inline", "--set", "passes=memory", "--set", "sequence_length=4"
    )
    assert (done.returncode, done.stderr) == (0, "")


def run_apart(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the sweep in a process of its own, whose standard error torch shares."""
    code = "from harness.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "sweep", "tiny.toml", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_presets_run_dry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = bptt("sweep", "quick", *DRY, "--executor", "inline", "--set", "device=cpu")
    assert said.exit_code == 0
    assert said.stdout.startswith("quick: ")


@pytest.mark.ray
def test_ctrl_c_on_ray_stops_cleanly_and_resuming_runs_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY.replace("[4, 6]", "[4, 6, 8, 10, 12, 14, 16, 18]"))
    command = [sys.executable, "-c", "from harness.cli import main; main()", "sweep", "tiny.toml"]
    paths = os.pathsep.join([os.getcwd(), *sys.path])
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in its background ignores Ctrl-C, and so would this command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout is not None
    while not running.stdout.readline().startswith("[2/"):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "go on with: bptt sweep tiny.toml --resume" in said
    kept = (tmp_path / "results" / "tiny" / JOURNAL).read_bytes()
    subprocess.run(
        [*command, "--resume"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, check=True
    )
    whole = (tmp_path / "results" / "tiny" / JOURNAL).read_bytes()
    lines = [json.loads(line)["id"] for line in whole.splitlines()]
    assert whole.startswith(kept)
    assert (len(lines), len(set(lines))) == (16, 16)
