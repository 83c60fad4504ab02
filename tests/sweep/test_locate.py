"""Every key and array item of a TOML text is found on its line."""

import pytest

from harness.sweep.locate import Path, lines

TEXT = '''schema = 1
[sweep]  # the header
name = "a # b"
text = """two
[lines]"""
[axes]
cell = [
  "elman",  # first
  { use = "lstm", bias = [0, 1] }, ]
"odd key" = 'c:\\'

[[implementation]]
gradient = "full"
[[implementation]]
gradient.use = "truncated"
[implementation.extra]
deep = { er = { still = 1 } }
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("schema",), 1),
        (("sweep",), 2),
        (("sweep", "name"), 3),
        (("axes",), 6),
        (("axes", "cell"), 7),
        (("axes", "cell", 0), 8),
        (("axes", "cell", 1), 9),
        (("axes", "cell", 1, "bias", 1), 9),
        (("axes", "odd key"), 10),
        (("implementation", 0, "gradient"), 13),
        (("implementation", 1), 14),
        (("implementation", 1, "gradient", "use"), 15),
        (("implementation", 1, "extra", "deep", "er", "still"), 17),
    ],
)
def test_a_key_is_on_its_line(path: Path, line: int) -> None:
    assert lines(TEXT)[path] == line


def test_what_stands_in_a_string_is_no_key() -> None:
    assert ("lines",) not in lines(TEXT)


def test_an_empty_text_has_no_keys() -> None:
    assert lines("\n# nothing\n") == {}
