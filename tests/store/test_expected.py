"""What a trial was expected to take is kept once, before the trial."""

from pathlib import Path

import pytest

from harness.forecast.expected import Expected
from harness.store import EXPECTED, Expectations, StoreError, read_expected, write_expected


def test_a_folder_of_before_there_were_estimates_has_none(tmp_path: Path) -> None:
    assert read_expected(tmp_path) == Expectations()


def test_the_first_estimate_of_a_trial_stays(tmp_path: Path) -> None:
    write_expected(tmp_path, Expectations("probes", {"a": Expected(1.5, 100.0)}))
    more = {"a": Expected(9.0, None), "b": Expected(2.0, None)}
    write_expected(tmp_path, Expectations("none", more))
    got = read_expected(tmp_path)
    assert got.trials == {"a": Expected(1.5, 100.0), "b": Expected(2.0, None)}


@pytest.mark.parametrize("text", ["{", "[]", '{"trials": {}}', '{"basis": "", "trials": {"a": 3}}'])
def test_a_file_that_holds_something_else_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / EXPECTED).write_text(text)
    with pytest.raises(StoreError, match="holds no estimates; delete it"):
        read_expected(tmp_path)
