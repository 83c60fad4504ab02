"""What the README and the presets say works."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.check import check
from harness.cli import main
from harness.registry import Registry
from harness.trial import Choice

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_plugin_of_the_readme_is_short_and_keeps_its_promises(tmp_path: Path) -> None:
    (source,) = blocks("python")
    file = tmp_path / "one_step.py"
    file.write_text(source)
    findings = check(Registry.scan([file]), "gradients", Choice("one_step"))
    assert [finding for finding in findings if finding.verdict == "broken"] == []
    assert any(finding.promise.startswith("truncated") for finding in findings)
    assert len(source.split("@dataclass")[1].splitlines()) <= 20


HERE = "local"  # in place of a cluster's head
SMALL = {
    "axes.sequence_length": "[4]",
    "axes.task": '"adding"',
    "axes.device": '"cpu"',
    "sweep.blocks": "1",
    "measure.passes": '["gradients"]',
}


def run(words: list[str]) -> None:
    """Run one command of the README; a sweep made small, in this process."""
    match words:
        case ["cp", source, target]:
            text = (ROOT / source).read_text().replace('name = "quick"', 'name = "mine"')
            Path(target).write_text(text)  # "then edit: name, ..."
        case ["bptt", *arguments]:
            arguments = [HERE if word == "HOST:PORT" else word for word in arguments]
            if arguments[0] == "sweep":
                sets = [word for pair in SMALL.items() for word in ("--set", "=".join(pair))]
                arguments += ["--executor", "inline", "--resume", "--probe-seconds", "0", *sets]
            arguments += ["--pairs", "0"] if arguments[0] == "doctor" else []
            result = CliRunner().invoke(main, arguments, prog_name="bptt", catch_exceptions=False)
            assert result.exit_code == 0, result.output
        case _:
            assert words[:1] in ([], ["make"], ["source"]), words


def test_the_commands_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one_step.py").write_text(blocks("python")[0])
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines]
    for words in commands:
        if words[:2] != ["bptt", "check"]:  # of a file that would have to be in the checkout
            run(words)
    page = (tmp_path / "results/mine/report/index.html").read_text()
    assert "truncated" in page


def test_every_make_target_of_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set()
    for document in (README, (ROOT / "CONTRIBUTING.md").read_text()):
        named |= set(re.findall(r"^make ([a-z]+)", document, re.MULTILINE))
    assert named
    assert named <= targets


def test_the_table_of_rooms_names_every_room() -> None:
    rooms = {
        path.stem if path.suffix else path.name
        for path in (ROOT / "harness").iterdir()
        if not path.name.startswith("_") and path.name != "presets"
    }
    table = README.split("## Rooms")[1]
    assert {
        room for room in rooms if f"{room}.py" not in table and f"{room}/" not in table
    } == set()


def test_the_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    assert {re.split(r"[>=<;]", name)[0].strip().lower() for name in wanted} <= pinned


@pytest.mark.parametrize("preset", sorted((ROOT / "harness/presets").glob("*.toml")), ids=str)
def test_every_preset_names_plugins_that_exist(preset: Path) -> None:
    document = tomllib.loads(preset.read_text())
    registry = Registry.scan()
    for cell in document["axes"]["cell"]:
        registry.find("cells", cell)
    for task in document["axes"]["task"]:
        registry.find("tasks", task)


def test_every_picture_of_the_readme_is_there() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    assert [picture for picture in pictures if not (ROOT / picture).is_file()] == []
