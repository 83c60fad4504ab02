"""`bptt compare` and `bptt export`, on records of a real run and on changed copies of them."""

import csv
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import bptt

from harness import store
from harness.registry.find import ROOT

REFERENCE = ROOT / "results" / "reference"
BLOCKS = 8


def folder(path: Path, times: float = 1.0, blocks: int = BLOCKS, node: str = "here") -> Path:
    """Write a run with one point of the reference in so many blocks; native takes `times` more."""
    point = [
        record
        for record in store.read(REFERENCE).records
        if (record.trial.measurement, str(record.trial.cell), str(record.trial.task))
        == ("speed", "lstm", "adding")
        and (record.trial.block, record.trial.sequence_length) == (0, 64)
    ]
    rng = np.random.default_rng(blocks)
    with store.Store(path) as kept:
        for block in range(blocks):
            for record in point:
                native = record.trial.implementation.label == "native"
                seconds = 0.02 * (times if native else 1.0) * float(np.exp(rng.normal(0, 0.003)))
                values = {**record.values, "sample_seconds": [seconds], "floor_seconds": [0.001]}
                trial = replace(record.trial, block=block)
                kept.append(replace(record, trial=trial, values=values, node=node))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("runs") / "base")


def test_a_run_compared_with_itself_is_equivalent_and_passes(base: Path) -> None:
    said = bptt("compare", base, base, "--fail-on", "speed:1%", "--strict")
    assert said.exit_code == 0
    assert "time: 5 equivalent within 1.0 %" in said.stdout
    assert "paired by block" in said.stdout


def test_a_planted_slowdown_exits_with_four_and_is_named(base: Path, tmp_path: Path) -> None:
    slow = folder(tmp_path / "slow", times=1.1)
    said = bptt("compare", base, slow, "--fail-on", "speed:5%")
    assert said.exit_code == 4
    assert "speed: native · lstm · adding · cpu · T=64: 1.1" in said.stdout
    assert bptt("compare", base, slow, "--fail-on", "speed:20%").exit_code == 0
    assert bptt("compare", base, slow).exit_code == 0  # nobody asked
    assert bptt("compare", slow, base, "--fail-on", "speed:5%").exit_code == 0  # faster


def test_unlike_machines_are_named_and_refused_under_strict(base: Path, tmp_path: Path) -> None:
    there = folder(tmp_path / "there", node="there")
    said = bptt("compare", base, there)
    assert said.exit_code == 0
    assert "node: here in BASE, there in NEW" in said.stdout
    refused = bptt("compare", base, there, "--strict")
    assert refused.exit_code == 2
    assert "--strict: the machines are not the same: node: here in BASE, there" in refused.stderr
    assert refused.stdout == ""


def test_a_limit_that_too_few_blocks_cannot_decide_is_told_or_refused(tmp_path: Path) -> None:
    few = folder(tmp_path / "few", blocks=3)
    said = bptt("compare", few, few, "--fail-on", "speed:5%")
    assert said.exit_code == 0
    assert "5 comparisons rest on too few blocks" in said.stderr
    assert bptt("compare", few, few, "--fail-on", "speed:5%", "--strict").exit_code == 2


def test_json_holds_every_row_and_the_regressions(base: Path, tmp_path: Path) -> None:
    slow = folder(tmp_path / "slow", times=1.1)
    said = bptt("compare", base, slow, "--fail-on", "speed:5%", "--json")
    told = json.loads(said.stdout)
    assert said.exit_code == 4
    assert len(told["rows"]) == 5
    assert [one["found"]["implementation"] for one in told["regressions"]] == ["native"]


def test_markdown_goes_to_a_file_beside_the_text_or_alone_to_standard_output(
    base: Path, tmp_path: Path
) -> None:
    path = tmp_path / "summary.md"
    said = bptt("compare", base, base, "--markdown", path)
    assert said.stdout.startswith(f"{base} over {base}")
    assert path.read_text().startswith("# ")
    alone = bptt("compare", base, base, "--markdown", "-")
    assert alone.stdout == path.read_text()


@pytest.mark.parametrize("limit", ["speed:fast", "sped:10%", "speed:10"])
def test_a_bad_limit_is_one_clear_error(base: Path, limit: str) -> None:
    refused = bptt("compare", base, base, "--fail-on", limit)
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"--fail-on: '{limit}' is no threshold; write speed:10% or memory:5%, in percent more than"
        " BASE\n"
    )


def test_folders_without_records_are_refused_by_name(base: Path, tmp_path: Path) -> None:
    refused = bptt("compare", base, tmp_path / "none")
    assert refused.exit_code == 2
    assert f"{tmp_path / 'none'} holds no records.jsonl" in refused.stderr


def test_a_summary_that_cannot_be_written_is_a_mistake(base: Path, tmp_path: Path) -> None:
    refused = bptt("compare", base, base, "--markdown", tmp_path / "no" / "such.md")
    assert refused.exit_code == 2
    assert "--markdown: " in refused.stderr


# ------------------------------------------------------------------------------ export


def test_csv_has_a_row_a_record_in_base_units(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    said = bptt("export", base, "--into", path)
    assert said.stdout == f"{5 * BLOCKS} rows  {path}\n"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 5 * BLOCKS
    assert all(0.01 < float(row["seconds_per_sequence"]) < 0.05 for row in rows)


def test_json_lines_hold_an_object_a_line_and_loses_no_digit(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    said = bptt("export", base, "--format", "json", "--into", path, "--json")
    assert json.loads(said.stdout) == {"path": str(path), "rows": 5 * BLOCKS}
    found = {
        row["id"]: row["seconds_per_sequence"]
        for row in map(json.loads, path.read_text().splitlines())
    }
    for record in store.read(base).records:
        assert found[record.trial.id] == pytest.approx(
            record.values["sample_seconds"][0], rel=1e-12
        )


def test_the_file_lies_beside_the_records_unless_told_otherwise(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", blocks=1)
    assert bptt("export", run).exit_code == 0
    assert (run / "trials.csv").is_file()


def test_parquet_is_written_where_pyarrow_is_there_and_refused_in_a_sentence_elsewhere(
    base: Path, tmp_path: Path
) -> None:
    path = tmp_path / "all.parquet"
    said = bptt("export", base, "--format", "parquet", "--into", path)
    if importlib.util.find_spec("pyarrow") is None:
        assert said.exit_code == 2
        assert said.stderr.startswith("--format: parquet needs pyarrow, which is not installed")
    else:
        assert said.exit_code == 0
        assert path.stat().st_size > 0


def test_a_file_that_cannot_be_written_is_a_mistake(base: Path, tmp_path: Path) -> None:
    refused = bptt("export", base, "--into", tmp_path / "no" / "such.csv")
    assert refused.exit_code == 2
    assert "--into: " in refused.stderr
