"""What must stay closed: no results folder is trusted with more than data."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each of these can run code that a file holds.
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"read_pickle", "to_pickle", "eval", "exec", "unsafe_load", "torch.load", "torch.save"}
CALLS |= {"np.load", "numpy.load", "yaml.load"}
FILES = sorted(
    path
    for folder in ("harness", "implementations", "tasks")
    for path in (ROOT / folder).rglob("*.py")
)


def dangers(source: str) -> set[str]:
    """Return which of them the source imports or calls."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= ({node.module.split(".")[0]} | {each.name for each in node.names}) & MODULES
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found |= {called, called.rpartition(".")[2]} & CALLS
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_read_that_could_run_code(path: Path) -> None:
    # Ray carries to the nodes what it pickles here; none of it is ever read from a file.
    allowed = {"cloudpickle"} if path.name == "cluster.py" else set()
    assert dangers(path.read_text()) <= allowed


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from torch import cloudpickle",
        "def f():\n    import joblib.numpy_pickle",
        "frame = pandas.read_pickle(path)",
        "weights = torch.load(path)",
        "array = np.load(path, allow_pickle=True)",
    ],
)
def test_the_search_finds_what_could(source: str) -> None:
    assert dangers(source)
