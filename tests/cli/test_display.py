"""While trials run, the screen says how far, what runs, and what failed."""

import io
import json
import re
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner
from rich.console import Console

from harness.cli import display, words
from harness.cli.live import HINT, LiveDisplay, chosen
from harness.cli.tally import Tally, eta
from harness.forecast.machine import Machine
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


def tally() -> Tally:
    """Return the tally of 12 trials, 3 of them done, about which nothing is known."""
    return Tally("tiny", 12, 3, Progress(Forecast({}), [], Machine(), time.monotonic))


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


def test_the_screen_may_go_through_the_counts_while_a_record_of_a_new_kind_comes() -> None:
    counted = tally()
    going = iter(counted.statuses.items())
    next(going)
    counted.kept(OOM)  # by another thread
    assert dict(going)["oom"] == 1


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
    assert eta(left) == text


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


def live(width: int = 160) -> tuple[LiveDisplay, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    return LiveDisplay(tally(), console), screen


def drawn(screen: io.StringIO) -> list[str]:
    """Return the lines that were drawn last."""
    text = screen.getvalue()
    frame = text[text.rindex("tiny ") : text.rindex(HINT)]
    return [line.strip() for line in frame.splitlines()]


def test_on_a_terminal_the_bar_counts_and_a_failure_stays() -> None:
    shown, screen = live()
    with shown:
        shown.started(SPEED.trial, "node-1")
        shown.kept(OOM)
    bar, heads, node = drawn(screen)
    assert re.search(r"^tiny .* 4/12  1 oom  0 s, ETA 0 s", bar)
    assert heads.split() == ["node", "device", "runs", "now", "for", "trials", "scatter"]
    assert node.startswith(f"node-1  cpu     {SPEED.trial}  ")
    assert f"oom     {OOM.trial}  asked for 2 GiB" in screen.getvalue()


def test_a_node_has_one_line_with_what_runs_longest_there() -> None:
    shown, screen = live()
    with shown:
        for block in range(3):
            shown.started(trial_of(block), "node-1")
        shown.started(trial_of(3), "node-2")
        shown.kept(replace(SPEED, node="node-1"))
        shown.kept(replace(SPEED, trial=trial_of(3), node="node-2"))
    _, _, first, second = drawn(screen)
    assert re.fullmatch(rf"node-1  cpu     {trial_of(1)}  and 1 more +0 s +1 +6.1 %", first)
    assert re.fullmatch(r"node-2 +idle +1 +6.1 %", second)


@pytest.mark.parametrize("then_quiet", [False, True])
def test_what_disturbed_a_timing_is_told_until_one_there_is_undisturbed(then_quiet: bool) -> None:
    shown, screen = live()
    quiet = replace(SPEED, node="node-1")
    with shown:
        shown.kept(replace(quiet, values={**SPEED.values, "flags": ["load: 9", "more"]}))
        shown.kept(quiet if then_quiet else replace(OOM, node="node-1"))
    told = [line for line in drawn(screen) if "load" in line]
    assert told == ([] if then_quiet else ["! node-1: load: 9"])


def test_the_scatter_of_a_timing_is_half_its_middle_half_over_its_median() -> None:
    samples = {"sample_seconds": [1.0, 1.1, 1.2, 1.3, None, 9.0]}
    assert words.scatter(replace(SPEED, values=samples)) == "8.3 %"  # (1.3 - 1.1) / 2 / 1.2
    assert words.scatter(replace(SPEED, values={"sample_seconds": [1.0, None]})) == ""


def test_before_the_first_trial_it_says_what_it_waits_for() -> None:
    shown, screen = live()
    with shown:
        pass
    assert "waiting for a node to be ready" in screen.getvalue()


def test_a_trial_that_was_lost_with_a_node_runs_on_the_next_alone() -> None:
    shown, screen = live()
    with shown:
        shown.started(trial_of(), "node-1")
        shown.started(trial_of(), "node-2")
    _, _, first, second = drawn(screen)
    assert re.match(r"node-1 +idle", first)
    assert second.startswith(f"node-2  cpu     {trial_of()}")


def test_an_interrupt_changes_the_last_line_at_once() -> None:
    shown, screen = live()
    with shown:
        shown.stopping()
    assert screen.getvalue().rindex(display.STOPPING) > screen.getvalue().rindex("waiting for")


def test_without_a_terminal_an_interrupt_is_one_line_beside_the_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(display, "BEAT_SECONDS", 0.001)
    shown = display.PlainDisplay(tally())
    with CliRunner().isolation() as (out, err, *_), shown:
        shown.stopping()
        while not err.getvalue():
            pass
    assert err.getvalue().decode() == f"{display.STOPPING}\n"
    assert out.getvalue() == b""


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_line_of_a_node_never_wraps_and_the_last_line_is_short(width: int) -> None:
    """A longer line, and the terminal's own "^C" after it, would leave torn lines behind."""
    shown, screen = live(width)
    with shown:
        shown.started(replace(trial_of(), cell=Choice("c" * 300)), "node-1")
    lines = screen.getvalue()[screen.getvalue().rindex("tiny ") :].splitlines()
    assert lines[2].startswith("node-1  cpu     ccc")
    assert lines[3].startswith(HINT)
    assert len(lines[3].split("\x1b")[0].rstrip()) + 2 < width


def test_what_others_print_to_a_terminal_leaves_no_bar_to_tear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any output for a terminal
    assert isinstance(chosen(tally(), False, shared=False), LiveDisplay)
    assert isinstance(chosen(tally(), False, shared=True), display.PlainDisplay)
