"""What the doctor reads is fine, will disturb, or unknown, and it guesses nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.doctor import allowance, clock, company, counters, processor, software
from harness.doctor.finding import DISTURBS, FINE, UNKNOWN
from harness.doctor.kernel import CPUS, Kernel

VIRTUAL = "flags\t\t: fpu hypervisor sse\n"
MEMORY = "MemTotal: 1000 kB\nMemAvailable: {free} kB\nSwapTotal: {swap} kB\nSwapFree: {left} kB\n"
PSI = "some avg10={share} avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=0"


@pytest.fixture
def machine(tmp_path: Path):
    """Return a way to make a kernel whose files say what a test tells."""

    def make(**files: str) -> Kernel:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Kernel(tmp_path)

    def made(files: dict[str, str]) -> Kernel:
        return make(**files)

    return made


def per_core(name: str, *texts: str) -> dict[str, str]:
    return {f"{CPUS}/cpu{core}/{name}": text for core, text in enumerate(texts)}


@pytest.mark.parametrize(
    ("files", "state"),
    [
        (per_core("cpufreq/scaling_governor", "performance", "performance"), FINE),
        (per_core("cpufreq/scaling_governor", "performance", "powersave"), DISTURBS),
        ({}, UNKNOWN),
    ],
    ids=["performance", "one core saves power", "no file"],
)
def test_the_governor_is_performance_on_every_core_or_disturbs(machine, files, state) -> None:
    found = processor.governor(machine(files))
    assert found.state == state
    assert bool(found.advice) == (state == DISTURBS)


@pytest.mark.parametrize(
    ("path", "text", "state"),
    [
        (processor.NO_TURBO, "1", FINE),
        (processor.NO_TURBO, "0", DISTURBS),
        (processor.BOOST, "0", FINE),
        (processor.BOOST, "1", DISTURBS),
        (processor.BOOST, "?", UNKNOWN),
    ],
)
def test_turbo_is_read_from_either_file(machine, path, text, state) -> None:
    assert processor.turbo(machine({path: text})).state == state


@pytest.mark.parametrize(
    ("clocks", "state"),
    [(("2400000", "2410000"), FINE), (("2400000", "3600000"), DISTURBS), ((), UNKNOWN)],
)
def test_cores_of_different_clocks_disturb(machine, clocks, state) -> None:
    found = processor.frequency(machine(per_core("cpufreq/scaling_cur_freq", *clocks)))
    assert found.state == state


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({f"{CPUS}/smt/active": "0"}, FINE),
        ({f"{CPUS}/smt/active": "0", "proc/cpuinfo": VIRTUAL}, UNKNOWN),
        ({f"{CPUS}/smt/active": "1"}, DISTURBS),
        ({}, UNKNOWN),
    ],
    ids=["off", "off, in a virtual machine", "on", "no file"],
)
def test_a_virtual_machine_does_not_know_whether_cores_are_shared(machine, files, state) -> None:
    assert processor.siblings(machine(files)).state == state


def test_pressure_is_of_some_process_not_of_all(machine) -> None:
    kernel = machine({"proc/pressure/cpu": PSI.format(share="1.45")})
    assert company.pressure(kernel, "cpu").state == FINE
    kernel = machine({"proc/pressure/cpu": PSI.format(share="31.00")})
    found = company.pressure(kernel, "cpu")
    assert (found.state, "31.0 %" in found.seen) == (DISTURBS, True)
    assert company.pressure(kernel, "io").state == UNKNOWN


@pytest.mark.parametrize(("load", "state"), [("0.20 1 1 1/1 1", FINE), ("9.0 1 1 1/1 1", DISTURBS)])
def test_a_load_disturbs(machine, load, state) -> None:
    assert company.load(machine({"proc/loadavg": load})).state == state


def test_a_container_hides_company(machine) -> None:
    assert company.unseen(machine({})).state == FINE
    assert company.unseen(machine({".dockerenv": ""})).state == UNKNOWN


def usage(own: float = 0.0, whole: float = 0.0, **used: float) -> company.Usage:
    return company.Usage({f"{name} 0": (name, spent) for name, spent in used.items()}, own, whole)


def test_busy_processes_are_named_by_their_share_of_a_core() -> None:
    before = usage(java=10.0, cron=1.0)
    after = usage(java=15.0, cron=1.01, ruff=1.0, own=4.0, whole=10.01)
    found = company.processes(before, after, seconds=10.0)
    assert (found.state, found.seen) == (DISTURBS, "java 50 %, ruff 10 % of a core")


def test_what_came_and_went_is_told_from_the_kernels_own_account() -> None:
    found = company.processes(usage(), usage(own=4.0, whole=9.0), seconds=10.0)
    assert found.seen == f"{company.HIDDEN} 50 % of a core"
    assert company.processes(usage(), usage(own=4.0, whole=4.1), 10.0).state == FINE


def test_a_process_that_runs_beside_us_is_seen() -> None:
    spin = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before = counters.read(Kernel())
        while (after := counters.read(Kernel())).at - before.at < 0.3:
            pass
    finally:
        spin.kill()
        spin.wait()
    keys = [key for key in after.usage.by_process if key.startswith(f"{spin.pid} ")]
    assert len(keys) == 1
    assert not any(key.startswith(f"{os.getpid()} ") for key in after.usage.by_process)


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, FINE),
        ({"sys/fs/cgroup/cpu.max": "200000 100000"}, DISTURBS),
        (
            {
                "proc/self/cgroup": "0::/user.slice/job\n",
                "sys/fs/cgroup/user.slice/cpu.max": "100000 100000",
                "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000",
            },
            DISTURBS,
        ),
        ({f"{allowance.OLD_QUOTA}{name}_us": "100000" for name in ("quota", "period")}, DISTURBS),
        (
            {
                f"{allowance.OLD_QUOTA}quota_us": "-1",
                f"{allowance.OLD_QUOTA}period_us": "100000",
            },
            FINE,
        ),
        ({"sys/fs/cgroup/cgroup.controllers": "cpu"}, FINE),
        ({}, UNKNOWN),
    ],
    ids=["max", "2 of 4", "a group above", "version 1", "version 1, none", "root", "no groups"],
)
def test_a_quota_below_the_cores_disturbs(machine, files, state) -> None:
    assert allowance.quota(machine(files), logical=4).state == state


@pytest.mark.parametrize(
    ("free", "swap", "left", "states"),
    [
        (500, 0, 0, (FINE, FINE)),
        (50, 0, 0, (DISTURBS, FINE)),
        (500, 100, 100, (FINE, FINE)),
        (500, 100, 40, (FINE, DISTURBS)),
    ],
)
def test_little_memory_and_used_swap_disturb(machine, free, swap, left, states) -> None:
    kernel = machine({"proc/meminfo": MEMORY.format(free=free, swap=swap, left=left)})
    assert (allowance.memory(kernel).state, allowance.swap(kernel).state) == states
    assert allowance.memory(Kernel(kernel.root / "nowhere")).state == UNKNOWN


def test_one_physical_core_is_shared_with_everything(machine) -> None:
    kernel = machine(per_core("topology/thread_siblings_list", "0-1", "0-1", "2", "3"))
    assert allowance.cores(kernel, {0, 1}).state == DISTURBS
    assert allowance.cores(kernel, {0, 1, 2}).state == FINE


@pytest.mark.parametrize(
    ("mode", "state"), [("[always] madvise never", DISTURBS), ("always [madvise] never", FINE)]
)
def test_huge_pages_by_chance_disturb(machine, mode, state) -> None:
    assert allowance.huge_pages(machine({allowance.HUGE: mode})).state == state


def test_a_niceness_above_0_disturbs() -> None:
    assert allowance.niceness(0).state == FINE
    assert allowance.niceness(10).state == DISTURBS


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({}, FINE),
        ({"CUDA_LAUNCH_BLOCKING": "0"}, FINE),
        ({"CUDA_LAUNCH_BLOCKING": "1"}, DISTURBS),
    ],
    ids=["none", "off", "on"],
)
def test_variables_that_slow_everything_down_are_named(given, state) -> None:
    found = software.variables(given)
    assert found.state == state
    assert ("CUDA_LAUNCH_BLOCKING" in found.seen) == (state == DISTURBS)


def test_a_torch_without_vector_instructions_and_slow_denormals_disturb() -> None:
    known = {"blas": "mkl", "threads": 1}
    assert software.blas(known, "AVX2").state == FINE
    assert software.blas(known, "DEFAULT").state == DISTURBS
    assert software.blas({**known, "blas": None}, "AVX2").state == UNKNOWN
    assert software.denormals(1.0, 1.1).state == FINE
    assert software.denormals(1.0, 80.0).state == DISTURBS


def test_a_clock_that_is_coarse_or_slow_for_a_sample_disturbs() -> None:
    assert clock.clock("tsc", 5e-8, 1e-7).state == FINE
    assert clock.clock("hpet", 5e-8, 2e-6).state == DISTURBS
    assert clock.clock("jiffies", 4e-3, 1e-7).state == DISTURBS


def reading(**changes: object) -> counters.Counters:
    plain = {"at": 0.0, "throttles": 5, "pauses": 7, "swapped_pages": 9, "stolen_seconds": 1.0}
    return counters.Counters(**{**plain, "usage": usage(), **changes})


@pytest.mark.parametrize(
    ("change", "topic"),
    [
        ({"throttles": 6}, "throttling"),
        ({"pauses": 8}, "quota pauses"),
        ({"swapped_pages": 10}, "swapping"),
        ({"stolen_seconds": 1.2}, "stolen time"),
    ],
)
def test_what_grew_while_trials_ran_disturbs_and_only_that(change, topic) -> None:
    after = reading(at=10.0, **change)
    found = {one.topic: one.state for one in counters.findings(reading(), after)}
    assert {name for name, state in found.items() if state == DISTURBS} == {topic}
    absent = counters.findings(reading(), reading(at=10.0, **dict.fromkeys(change)))
    assert {one.topic for one in absent if one.state == UNKNOWN} == {topic}
