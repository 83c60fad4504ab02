"""A sweep that is resumed runs nothing that an earlier record says would run out of memory."""

import json
from pathlib import Path

from commands import TINY, bptt, sweep

from harness import store
from harness.executors.implied import IMPLIED_BY
from harness.store import JOURNAL

LIMITED = TINY + '[limits]\nmemory = "1GiB"\n'
LACK = {"asked_bytes": 2**30, "free_bytes": 2**20, "short_of": "limit", "steady": True}


def starve(journal: Path) -> None:
    """Have the shorter sequence of each series run out of memory, and the longer not run yet."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lack = {"status": "oom", "reason": "asked for 1.0 GiB", "advice": "less", "values": LACK}
    short = [{**line, **lack} for line in lines if line["trial"]["sequence_length"] == 4]
    journal.write_text("".join(json.dumps(line) + "\n" for line in short))


def test_what_is_implied_is_kept_counted_apart_and_told(tmp_path: Path) -> None:
    assert sweep(tmp_path, text=LIMITED).exit_code == 0
    folder = tmp_path / "results/tiny"
    starve(folder / JOURNAL)
    resumed = sweep(tmp_path, "--resume", text=LIMITED)
    assert resumed.exit_code == 3
    told = "4 oom, each a limit that was met, or implied by one (2): bptt show --status oom"
    assert told in resumed.output
    records = store.read(folder).records
    implied = [each for each in records if IMPLIED_BY in each.values]
    assert {each.trial.sequence_length for each in implied} == {6}
    assert {each.values[IMPLIED_BY] for each in implied} == {
        each.trial.id for each in records if each not in implied
    }
    page = (folder / "report/report.md").read_text()
    assert "4 oom (2 of them implied)" in page
    assert "implied: block 0 of the same series ran out of memory at T = 4 (trial " in page
    shown = bptt("show", implied[0].trial.id, "--results", folder)
    assert "lasted    0 s, attempt 0" in shown.output


def test_a_rerun_of_what_ran_out_of_memory_runs_what_that_implied(tmp_path: Path) -> None:
    sweep(tmp_path, text=LIMITED)
    folder = tmp_path / "results/tiny"
    starve(folder / JOURNAL)
    sweep(tmp_path, "--resume", text=LIMITED)
    assert sweep(tmp_path, "--rerun", "status=oom", text=LIMITED).exit_code == 0
    assert {each.status for each in store.read(folder).records} == {"done"}
