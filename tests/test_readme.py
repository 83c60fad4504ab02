"""What the README and the presets say works."""

import re
import tomllib
from pathlib import Path

import pytest

from harness.check import check
from harness.registry import Registry
from harness.trial import Choice

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_plugin_of_the_readme_is_short_and_keeps_its_promises(tmp_path: Path) -> None:
    (source,) = blocks("python")
    file = tmp_path / "spatial.py"
    file.write_text(source)
    findings = check(Registry.scan([file]), "gradients", Choice("spatial"))
    assert [finding for finding in findings if finding.verdict == "broken"] == []
    assert any(finding.promise.startswith("truncated") for finding in findings)
    assert len(source.split("@dataclass")[1].splitlines()) <= 20


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
