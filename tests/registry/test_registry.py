"""Plugins are found by their source, and only what is built is imported."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from harness.registry import ConfigurationError, PluginError, Registry, plugin
from harness.registry.find import FOLDERS
from harness.trial import Choice

CLIP = '''"""Halve everything. A second sentence.

Source: Nobody (2026), A title
that goes on.
Cost: none.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.contract import Clip


@dataclass
class Halve(Clip):
    """Halves."""

    packs = ("speeches",)
    marker: ClassVar[int] = 3
    factor: float = 0.5
    mode: Literal["soft", "hard"] = "soft"
    limit: int | None = None
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for package in FOLDERS.values():
        tmp_path.joinpath(*package.split(".")).mkdir(parents=True)
    return tmp_path


def write(root: Path, place: str, text: str = CLIP) -> Path:
    path = root / place
    path.write_text(text)
    return path


def test_every_plugin_of_the_project_is_found_and_available() -> None:
    found = Registry.scan()
    assert [one.key for one in found.plugins if one.unavailable] == []
    assert {"full_bptt", "native", "truncated_bptt", "checkpointed"} <= {
        one.name for one in found.of("gradients")
    }


def test_listing_imports_neither_torch_nor_ray_nor_pandas_nor_matplotlib() -> None:
    code = (
        "import sys; from harness.cli import main; main(['list'], standalone_mode=False);"
        "heavy = {'torch', 'ray', 'pandas', 'matplotlib', 'pydantic'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_source_tells_name_summary_origin_packs_parameters_and_hash(tmp_path: Path) -> None:
    path = write(tmp_path, "halve.py")
    found = plugin.read(path)
    assert (found.kind, found.name, found.class_name) == ("clips", "halve", "Halve")
    assert found.summary == "Halve everything."
    assert found.source == "Nobody (2026), A title that goes on."
    assert found.packs == ("speeches",)
    assert [str(one) for one in found.parameters] == [
        "factor: float = 0.5",
        "mode: Literal['soft', 'hard'] = 'soft'",
        "limit: int | None = None",
    ]
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not found.checks


def test_a_cells_parameters_are_the_keyword_only_arguments_of_its_constructor() -> None:
    lstm = Registry.scan().find("cells", "lstm")
    names = [parameter.name for parameter in lstm.parameters]
    assert names == ["forget_bias", "longest_memory", "recurrent"]


def test_files_that_begin_with_an_underscore_are_no_plugins(root: Path) -> None:
    write(root, "implementations/clips/_template.py")
    assert Registry.scan(root=root).plugins == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class Broken(\n", "does not parse: line 1"),
        ("import no_such_package_anywhere\n" + CLIP, "needs no_such_package_anywhere"),
        (
            "x = 1\n",
            "must hold exactly one class whose base is GradientMethod, Clip, Cell, GatedCell, Task",
        ),
        (CLIP + "\n\nclass Second(Clip):\n    pass\n", "it holds Halve, Second"),
        (CLIP.replace("int | None", "list[int]"), "parameter limit is annotated 'list[int]'"),
        (CLIP.replace("@dataclass\n", ""), "Halve needs @dataclass"),
        (CLIP.replace("(Clip)", "(Cell)").replace("ort Clip", "ort Cell"), "it holds a cell"),
        (CLIP.replace('("speeches",)', "PACKS"), "packs must be written out"),
    ],
    ids=["syntax", "import", "no class", "two classes", "type", "no dataclass", "kind", "packs"],
)
def test_a_plugin_that_cannot_work_is_listed_with_its_reason(
    root: Path, text: str, reason: str
) -> None:
    write(root, "implementations/clips/halve.py", text)
    write(root, "implementations/clips/fine.py")
    halve, fine = sorted(Registry.scan(root=root).plugins, key=lambda one: one.name, reverse=True)
    assert reason in halve.unavailable
    assert fine.unavailable == ""
    with pytest.raises(PluginError, match="cannot be used"):
        Registry.scan(root=root).find("clips", "halve")


def test_a_name_used_twice_is_an_error_that_names_both_places(root: Path, tmp_path: Path) -> None:
    first = write(root, "implementations/clips/halve.py")
    second = write(tmp_path, "halve.py")
    with pytest.raises(ConfigurationError) as caught:
        Registry.scan([second], root)
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


def test_an_unknown_name_gets_a_suggestion_and_the_names_there_are() -> None:
    registry = Registry.scan()
    known = ", ".join(cell.name for cell in registry.of("cells"))
    with pytest.raises(PluginError) as caught:
        registry.find("cells", "lst")
    want = f'there is no cell "lst"; did you mean "lstm"? There are: {known}'
    assert str(caught.value) == want


def test_a_file_named_by_the_user_is_built_with_its_parameters(tmp_path: Path) -> None:
    registry = Registry.scan([write(tmp_path, "halve.py")])
    built = registry.build("clips", Choice("halve", {"factor": 0.25}))
    assert vars(built)["factor"] == 0.25


def test_a_changed_file_is_imported_afresh(tmp_path: Path) -> None:
    path = write(tmp_path, "halve.py")
    Registry.scan([path]).build("clips", Choice("halve"))
    write(tmp_path, "halve.py", CLIP.replace("0.5", "0.125"))
    built = Registry.scan([path]).build("clips", Choice("halve"))
    assert vars(built)["factor"] == 0.125


def test_a_plugin_that_fails_to_import_says_whose_fault_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "halve.py", CLIP + "\n1 / 0\n")
    with pytest.raises(PluginError, match=r"halve \(.*\) does not import: ZeroDivisionError"):
        Registry.scan([path]).build("clips", Choice("halve"))


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.py: the plugin cannot be read"):
        Registry.scan([tmp_path / "nowhere.py"])


def test_an_installed_package_adds_plugins_without_being_imported(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "halving_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    (package / "halve.py").write_text(CLIP)
    info = tmp_path / "site" / "halving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halving\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[bptt.clips]\nhalving = halving_package.halve:Halve\nlost = halving_package.gone\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    lost, halving = sorted(
        Registry.scan(root=root).of("clips"), key=lambda one: one.name, reverse=True
    )
    assert (halving.name, halving.path) == ("halving", package / "halve.py")
    assert "not installed" in lost.unavailable
