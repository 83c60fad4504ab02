"""What else ran while samples were taken: who, for how long, and that nobody did."""

from dataclasses import replace
from pathlib import Path

from harness.doctor.company import Usage
from harness.doctor.counters import Counters
from harness.doctor.finding import disturbs, fine
from harness.doctor.kernel import Kernel
from harness.doctor.nvml import POLICIES, Reading
from harness.measure.surroundings import Surroundings, _governor, flags, values

QUIET = Surroundings(
    counters=Counters(100.0, 3, 0, 0, 1.0, Usage({"7 1": ("other", 5.0)}, own=10.0, all=20.0)),
    standing=(fine("cpu pressure", "none"),),
    load=0.1,
    cpu_pressure="some avg10=0.00",
    preemptions=4,
    governor="performance",
)


def later(seconds: float = 10.0, other: float = 0.0, **changes: object) -> Surroundings:
    """Return a reading after so many seconds, all of them ours but for those of another."""
    used = Usage({"7 1": ("other", 5.0 + other)}, 10.0 + seconds, 20.0 + seconds + other)
    counters = replace(QUIET.counters, at=100.0 + seconds, usage=used, **changes)  # type: ignore[arg-type]
    return replace(QUIET, counters=counters)


def test_a_machine_of_our_own_has_no_flag() -> None:
    assert flags(QUIET, later(), runs=10) == []


def test_a_busy_process_is_named_with_its_share() -> None:
    assert flags(QUIET, later(other=5.0), 10) == ["busy processes: other 50 % of a core"]
    assert values(QUIET, later(other=5.0))["busy_seconds"] == {"other": 5.0}
    assert values(QUIET, later())["busy_seconds"] == {}


def test_a_window_shorter_than_the_kernels_ticks_can_tell_blames_nobody() -> None:
    assert flags(QUIET, later(seconds=0.1, other=0.01), 10) == []


def test_throttling_and_pressure_are_flagged_and_counted() -> None:
    assert flags(QUIET, later(throttles=5), 10) == [
        "throttling: the clock was held back 2 times while trials ran"
    ]
    assert values(QUIET, later(throttles=5))["throttles"] == 2
    pressed = replace(QUIET, standing=(disturbs("cpu pressure", "waited", "look"),))
    assert flags(pressed, later(), 10) == ["cpu pressure: waited"]
    assert flags(QUIET, replace(later(), standing=pressed.standing), 10) == ["cpu pressure: waited"]


def test_a_gpu_is_read_beside_the_machine_and_its_throttling_flagged() -> None:
    cool = Reading(1.98e9, 2.6e9, 40, 100.0, 0x1, dict.fromkeys(POLICIES, 0.0))
    before, after = replace(QUIET, gpu=cool), replace(later(), gpu=cool)
    assert flags(before, after, 10) == []
    hot = replace(after, gpu=replace(cool, temperature_celsius=90, clock_reasons=0x20))
    said = ["the GPU's clock was held back by its driver's limit on heat"]
    assert flags(before, hot, 10) == said
    found = values(before, hot)
    assert found["gpu_before"]["temperature_celsius"] == 40
    assert found["gpu_after"]["clock_reasons"] == 0x20
    assert values(QUIET, later())["gpu_before"] is None


def test_what_a_machine_does_not_count_is_null_and_no_flag() -> None:
    blind = replace(QUIET, counters=replace(QUIET.counters, throttles=None))
    assert values(blind, later())["throttles"] is None
    assert flags(blind, later(), 10) == []


def test_a_process_that_is_set_aside_more_often_than_it_runs_is_flagged() -> None:
    assert flags(QUIET, replace(later(), preemptions=15), 10) == ["preempted 11 times in 10 runs"]
    assert flags(QUIET, replace(later(), preemptions=14), 10) == []


def test_a_governor_that_changes_is_flagged_and_both_are_kept() -> None:
    saving = replace(later(), governor="powersave")
    assert flags(QUIET, saving, 10) == ["the governor went from performance to powersave"]
    assert values(QUIET, saving)["governor_before"] == "performance"
    assert values(QUIET, saving)["governor_after"] == "powersave"


def test_the_governor_is_that_of_the_cores_of_this_process(tmp_path: Path) -> None:
    for core, name in enumerate(("performance", "powersave", "powersave")):
        file = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"
        file.parent.mkdir(parents=True)
        file.write_text(f"{name}\n")
    kernel = Kernel(tmp_path)
    assert _governor(kernel, {0}) == "performance"
    assert _governor(kernel, {0, 2}) == "performance, powersave"
    assert _governor(kernel, {7}) is None


def test_two_readings_of_this_machine_can_be_compared() -> None:
    before = Surroundings.now(Kernel())
    sum(range(200_000))
    found = values(before, Surroundings.now(Kernel()))
    assert found["own_busy_seconds"] > 0
    assert found["window_seconds"] > 0
