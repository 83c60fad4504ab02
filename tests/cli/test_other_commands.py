"""`bptt list`, `show`, `report`, `check`, `fetch`, `new`, and what they exit with."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from commands import TINY, bptt, sweep

from harness import store
from harness.cli.group import COMMANDS
from harness.registry import Registry
from harness.registry.find import ROOT


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    exclude = '[[exclude]]\nimplementation = "cut"\nreason = "not today"\n'
    sweep(folder, text=TINY + exclude)
    return folder / "results"


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["new", "--help"]], ids=" ".join)
def test_help_and_list_start_without_anything_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from harness.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "heavy = {'torch', 'ray', 'pandas', 'numpy', 'matplotlib', 'pydantic'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_a_mistake_in_a_sweep_is_told_without_torch() -> None:
    code = (
        "import sys; from harness.cli import main;"
        "assert main(sys.argv[1:], standalone_mode=False) == 2;"
        "heavy = {'torch', 'scipy', 'ray', 'pandas', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    arguments = ["sweep", "quick", "--set", "cell=lstn"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "lstn" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_takes_json(name: str) -> None:
    command = importlib.import_module(f"harness.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.help
    assert any("--json" in parameter.opts for parameter in command.params)


def test_the_help_lists_every_command() -> None:
    said = bptt("--help").stdout
    assert all(f"  {name} " in said for name in COMMANDS)


def test_list_shows_parameters_with_their_defaults() -> None:
    said = bptt("list", "gradients").stdout
    assert "truncated_bptt(stride: int = 16, depth: int = 16)" in said
    assert "lstm" not in said


def test_list_shows_why_a_plugin_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Registry.scan([], tmp_path)
    clips = tmp_path / "implementations" / "clips"
    clips.mkdir(parents=True)
    (clips / "torn.py").write_text("class Torn(\n")
    broken = Registry.scan([], tmp_path)
    monkeypatch.setattr(Registry, "scan", lambda files=(): broken)
    said = bptt("list", "clips").stdout
    assert "torn" in said
    assert "unavailable: does not parse: line 1" in said


def test_list_as_json_is_one_plugin_a_line() -> None:
    plugins = [json.loads(line) for line in bptt("list", "--json").stdout.splitlines()]
    assert {plugin["kind"] for plugin in plugins} == {"gradients", "clips", "cells", "tasks"}
    (speeches,) = [plugin for plugin in plugins if plugin["name"] == "speeches"]
    assert speeches["packs"] == ["speeches"]


def test_show_tells_what_became_of_a_trial_and_what_to_do(results: Path) -> None:
    records = store.read(results / "tiny").records
    skipped = next(record for record in records if record.status == "skipped")
    said = bptt("show", skipped.trial.id[:8], "--results", results).stdout
    assert said.startswith(f"{skipped.trial.id}  skipped  {skipped.trial}\n")
    assert "reason    not today" in said
    assert "advice    take the [[exclude]] out" in said


def test_show_finds_by_status_and_gives_whole_records_as_json(results: Path) -> None:
    said = bptt("show", "--status", "done", "--results", results, "--json").stdout
    found = [json.loads(line) for line in said.splitlines()]
    assert [record["status"] for record in found] == ["done", "done"]
    assert all("cosine" in record["values"] for record in found)


def test_show_leaves_out_a_folder_of_another_schema_and_says_so(
    results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results / "tiny", tmp_path / "tiny")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / store.JOURNAL).write_text('{"schema": 0}\n')
    said = bptt("show", "--status", "done", "--results", tmp_path, "--json")
    assert said.exit_code == 0
    assert len(said.stdout.splitlines()) == 2
    assert said.stderr.startswith(f"left out: {tmp_path / 'old' / store.JOURNAL}:1: schema 0;")


def test_show_by_status_counts_as_the_report_does_but_an_id_finds_all_that_is_kept(
    results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results / "tiny", tmp_path / "tiny")
    done = [r.trial.id for r in store.read(tmp_path / "tiny").records if r.status == "done"]
    store.write_planned(tmp_path / "tiny", done[:1])
    said = bptt("show", "--status", "done", "--results", tmp_path, "--json").stdout
    assert [json.loads(line)["id"] for line in said.splitlines()] == done[:1]
    assert bptt("show", done[1], "--results", tmp_path).stdout.startswith(done[1])


def test_show_of_an_unknown_trial_is_a_mistake(results: Path) -> None:
    refused = bptt("show", "ffffffffffff", "--results", results)
    assert refused.exit_code == 2
    assert "has an id that begins with ffffffffffff" in refused.stderr


def test_report_is_made_again_from_the_records_alone(results: Path, tmp_path: Path) -> None:
    said = bptt("report", results / "tiny", "--into", tmp_path / "again")
    assert said.exit_code == 0
    page = tmp_path / "again" / "index.html"
    assert said.stdout == f"report  {page}\n"
    assert "bptt sweep" in page.read_text()


def test_a_report_that_cannot_be_written_names_the_place(results: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    refused = bptt("report", results / "tiny", "--into", tmp_path / "taken")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == f"{tmp_path / 'taken' / 'figures'}: Not a directory\n"


def test_report_of_a_folder_without_records_is_a_mistake(tmp_path: Path) -> None:
    refused = bptt("report", tmp_path)
    assert refused.exit_code == 2
    assert "holds no records.jsonl" in refused.stderr


def test_check_of_an_unknown_plugin_gets_a_suggestion() -> None:
    refused = bptt("check", "ful_bptt")
    assert refused.exit_code == 2
    assert 'there is no plugin "ful_bptt"; did you mean "full_bptt"?' in refused.stderr


def test_check_tells_every_promise_that_was_kept() -> None:
    said = bptt("check", "clips/norm")
    assert said.exit_code == 0
    assert all(line.startswith("kept") for line in said.stdout.splitlines())
    assert said.stdout


def test_check_exits_with_what_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "shrink.py"
    path.write_text(
        '"""Changes its argument.\n\nSource: a test.\n"""\n\n'
        "from harness.contract import Clip\n\n\nclass Shrink(Clip):\n"
        "    def params(self, grads, params):\n"
        "        for grad in grads.values():\n            grad.mul_(0.5)\n        return grads\n"
    )
    said = bptt("check", "shrink", "--plugin", path)
    assert said.exit_code == 3
    assert "broken" in said.stdout


def test_the_help_of_fetch_says_where_packs_are_kept() -> None:
    assert "BPTT_DATA" in bptt("fetch", "--help").stdout


def test_fetch_of_an_unknown_pack_gets_a_suggestion() -> None:
    refused = bptt("fetch", "speech")
    assert refused.exit_code == 2
    assert "did you mean 'speeches'?" in refused.stderr


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("implementations", "tasks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setattr("harness.cli.new.ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["gradients", "clips", "cells", "tasks"])
def test_a_new_plugin_is_found_under_its_name(checkout: Path, kind: str) -> None:
    assert bptt("new", kind, "brand_new").exit_code == 0
    (found,) = [one for one in Registry.scan(root=checkout).plugins if one.name == "brand_new"]
    assert (found.kind, found.class_name, found.unavailable) == (kind, "BrandNew", "")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("norm", '"norm" is there already'),
        ("my-rule", "'my-rule' cannot name a Python file"),
        ("class", "'class' cannot name a Python file"),
        ("_hidden", "'_hidden' cannot name a Python file"),
    ],
)
def test_a_name_that_cannot_be_is_refused(checkout: Path, name: str, sentence: str) -> None:
    refused = bptt("new", "clips", name)
    assert refused.exit_code == 2
    assert sentence in refused.stderr
