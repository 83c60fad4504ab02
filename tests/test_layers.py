"""Imports run one way, and each outside thing is touched in one room (the table of the README)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A room may import from rooms above it. Rooms of one row do not import one another.
ROWS = [
    ["contract", "trial", "stats"],
    ["model", "derivative", "gated", "trace", "scan"],
    ["drive"],
    ["registry", "online"],
    ["sweep"],
    ["data", "environment", "forecast"],
    ["store", "doctor", "device"],
    ["rig"],
    ["oracle"],
    ["measure"],
    ["check"],
    ["worker"],
    ["executors"],
    ["report"],
    ["launch"],
    ["cli"],
]
ROW_OF = {room: number for number, row in enumerate(ROWS) for room in row}
ONLY_IN = {
    "ray": {"executors"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "pandas": {"report", "cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "tomllib": {"sweep", "data"},
    "pynvml": {"doctor"},
    # Ray, pip, git, the reader of the allocator's log
    "subprocess": {"executors", "data", "environment", "measure"},
}
WITHOUT_TORCH = {"trial", "stats", "sweep", "data", "environment", "forecast", "store", "report"}
WITHOUT_TORCH |= {"launch"}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "harness").parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Return every module imported anywhere in the file, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


MODULES = sorted(p for p in (ROOT / "harness").rglob("*.py") if p.name != "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_from_rooms_above_its_own(path: Path) -> None:
    room = room_of(path)
    assert room in ROW_OF, f"{room} has no row; give it one"
    used = {name.split(".")[1] for name in imports_of(path) if name.startswith("harness.")}
    # Contract and model name each other, one of them under TYPE_CHECKING only.
    type_only = {"model"} if room == "contract" else set()
    uphill = {other for other in used - {room} - type_only if ROW_OF[other] >= ROW_OF[room]}
    assert uphill == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_outside_thing_is_touched_in_its_own_room(path: Path) -> None:
    used = {name.split(".")[0] for name in imports_of(path)}
    trespasses = {name for name, rooms in ONLY_IN.items() if name in used} & {
        name for name, rooms in ONLY_IN.items() if room_of(path) not in rooms
    }
    assert trespasses == set()
    if room_of(path) in WITHOUT_TORCH:
        assert "torch" not in used


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_command_line_prints(path: Path) -> None:
    if room_of(path) == "cli":
        return
    calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    names = {call.id for call in calls if isinstance(call, ast.Name)}
    assert not names & {"print", "exit", "quit", "breakpoint"}


def test_plugins_touch_only_the_contract_and_the_rooms_of_the_mathematics() -> None:
    allowed = {"contract", "model", "derivative", "gated", "trace", "scan", "drive", "online"}
    allowed |= {"data"}
    for folder in ("implementations", "tasks"):
        for path in (ROOT / folder).rglob("*.py"):
            used = {n.split(".")[1] for n in imports_of(path) if n.startswith("harness.")}
            assert used <= allowed, path


def test_every_row_names_a_room_that_exists() -> None:
    rooms = {room_of(path) for path in MODULES}
    assert set(ROW_OF) == rooms
