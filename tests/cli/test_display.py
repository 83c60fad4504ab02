"""While trials run, the screen says how far, what runs, and what failed."""

import io
import json
import time

import pytest
from click.testing import CliRunner
from rich.console import Console

from harness.cli import display, words
from harness.forecast.model import Forecast
from harness.forecast.progress import Progress, Remaining
from harness.trial import Choice, Implementation, Record, Trial


def trial_of(block: int = 0, measurement: str = "speed") -> Trial:
    return Trial(
        measurement=measurement,
        implementation=Implementation(Choice("full_bptt"), label="full"),
        cell=Choice("lstm"),
        task=Choice("adding"),
        sequence_length=64,
        hidden_size=8,
        batch_size=2,
        device="cpu",
        dtype="float32",
        threads=1,
        update="window",
        optimizer="adam",
        learning_rate=0.001,
        block=block,
        seed=0,
    )


def tally() -> display.Tally:
    """Return the tally of 12 trials, 3 of them done, about which nothing is known."""
    return display.Tally("tiny", 12, 3, Progress(Forecast({}), [], 1, time.monotonic))


SPEED = Record(trial_of(), "done", values={"sample_seconds": [0.04, 0.0412, None, 0.05]})
OOM = Record(trial_of(1), "oom", "asked for 2 GiB\nmore lines")


@pytest.mark.parametrize(
    ("record", "headline"),
    [
        (SPEED, "41.2 ms a sequence"),
        (Record(trial_of(0, "memory"), "done", values={"peak_bytes": 3 * 2**20}), "peak 3 MiB"),
        (
            Record(
                trial_of(0, "gradients"), "done", values={"cosine": 0.5, "verdict": "vanishing"}
            ),
            "cosine 0.500, vanishing",
        ),
        (
            Record(
                trial_of(0, "training"), "done", values={"final_score": None, "score_name": "bits"}
            ),
            "not a number bits",
        ),
        (OOM, f"asked for 2 GiB  (bptt show {OOM.trial.id})"),
    ],
    ids=["speed", "memory", "gradients", "training", "oom"],
)
def test_a_record_has_one_headline(record: Record, headline: str) -> None:
    got = words.headline(record).replace("3.00 MiB", "3 MiB")
    assert got == headline


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (41.0, "41 s"),
        (59.7, "1 min 00 s"),
        (108.0, "1 min 48 s"),
        (599.4, "9 min 59 s"),
        (599.6, "10 min"),
        (6060.0, "1 h 41 min"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_counts_come_in_the_order_of_the_statuses() -> None:
    assert words.counts(["oom", "done", "failed", "done"]) == "2 done, 1 oom, 1 failed"


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (Remaining(190.0, 0.1), "3 min 10 s (± 19 s)"),
        (Remaining(600.0, 2.0), "3 min 20 s to 30 min"),
        (Remaining(0.0, 0.1), "0 s (± 0 s)"),
        (Remaining(0.0, 3.0), "0 s"),
    ],
    ids=["known", "hardly known", "over", "over, hardly known"],
)
def test_an_eta_says_how_sure_it_is(left: Remaining, text: str) -> None:
    assert display.eta(left) == text


def test_without_a_terminal_a_trial_is_one_line() -> None:
    shown = display.PlainDisplay(tally())
    with CliRunner().isolation() as (out, *_), shown:
        shown.started(trial_of(), "here")
        shown.kept(SPEED)
        shown.kept(OOM)
        lines = out.getvalue().decode().splitlines()
    assert lines == [
        f"[4/12] done    {SPEED.trial}  41.2 ms a sequence",
        f"[5/12] oom     {OOM.trial}  asked for 2 GiB  (bptt show {OOM.trial.id})",
    ]


def test_json_lines_hold_the_whole_record() -> None:
    shown = display.JsonDisplay()
    with CliRunner().isolation() as (out, *_), shown:
        shown.kept(OOM)
        event = json.loads(out.getvalue())
    assert Record.from_json(event["record"]) == OOM


def test_on_a_terminal_the_bar_counts_and_a_failure_stays() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, color_system=None)
    shown = display.LiveDisplay(tally(), console)
    with shown:
        shown.started(SPEED.trial, "node-1")
        shown.started(OOM.trial, "node-2")
        shown.kept(OOM)
    text = screen.getvalue()
    assert "4/12" in text
    assert "node-1" in text
    assert f"oom     {OOM.trial}  asked for 2 GiB" in text
    last = text[text.rindex("Ctrl-C stops cleanly") :]
    assert "node-1" in last
    assert "node-2" not in last
