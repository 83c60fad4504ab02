"""The log, folded as it comes, says what the profiler says from every event, and costs nothing."""

import copy
import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from rigs import REGISTRY, rig_of

from harness.measure import allocator_events, allocator_log, fold_log
from harness.measure.account import Traced
from harness.measure.memory import resident_peak
from harness.rig import Rig, Skipped
from harness.trial import Choice

CELLS = [plugin.name for plugin in REGISTRY.plugins if plugin.kind == "cells"]
METHODS = [plugin.name for plugin in REGISTRY.plugins if plugin.kind == "gradients"]


def sequence_of(rig: Rig) -> Callable[[], None]:
    """Return a sequence that leaves nothing for a later account: no optimizer, no memory."""
    batch = rig.batch()

    def sequence() -> None:
        drive = replace(rig, method=copy.deepcopy(rig.method)).drive()
        drive.sequence(batch, drive.begin(rig.trial.batch_size, rig.generator("method")))

    sequence()  # a first one pays for what is allocated once
    return sequence


def both(rig: Rig) -> tuple[Traced, Traced]:
    sequence = sequence_of(rig)
    return allocator_log.traced(rig, sequence), allocator_events.traced(rig, sequence)


@pytest.mark.parametrize(
    ("gradient", "cell"),
    [*((name, "lstm") for name in METHODS), *(("full_bptt", name) for name in CELLS)],
)
def test_the_log_counts_what_the_profiler_counts(gradient: str, cell: str) -> None:
    try:
        rig = rig_of("memory", gradient, cell=Choice(cell), sequence_length=7)
    except Skipped as skipped:
        pytest.skip(str(skipped))
    by_log, by_events = both(rig)
    assert (by_log.kept_bytes, by_log.peak_bytes) == (by_events.kept_bytes, by_events.peak_bytes)
    assert by_log.peak_bytes >= by_log.kept_bytes
    assert by_log.peak_bytes > 0


def test_a_tensor_of_known_size_is_counted_exactly() -> None:
    def run() -> None:
        held = torch.empty(1000, dtype=torch.float64)
        del held
        torch.empty(500, dtype=torch.float64)

    assert allocator_log.traced(rig_of("memory"), run).peak_bytes == 8000


def test_what_was_allocated_under_an_earlier_account_counts_in_no_later_one() -> None:
    rig, held = rig_of("memory"), []
    allocator_log.traced(rig, lambda: held.append(torch.empty(1000)))
    assert allocator_log.traced(rig, lambda: held.append(torch.empty(500))).peak_bytes == 2000


def resident(rig: Rig, trace: Callable[[Rig, Callable[[], None]], object]) -> int:
    sequence = sequence_of(rig)
    with resident_peak() as found:
        trace(rig, sequence)
    return found[0]


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs Linux")
def test_a_long_run_costs_no_memory_for_being_counted() -> None:
    rig = rig_of("memory", sequence_length=300)
    room = 8 * 2**20  # of what Python and the C library allocate by themselves
    assert resident(rig, allocator_log.traced) < room
    assert resident(rig, allocator_events.traced) > 2 * room  # the profiler keeps every event


def test_what_others_write_meanwhile_gets_through(capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        torch.empty(10)
        os.write(2, b"a warning\n")
        torch.empty(10)

    allocator_log.traced(rig_of("memory"), run)
    os.write(2, b"and after it\n")
    assert capfd.readouterr().err == "a warning\nand after it\n"


def test_a_run_that_fails_leaves_the_switches_and_standard_error_as_they_were(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(MemoryError):
        allocator_log.traced(rig_of("memory"), lambda: (_ for _ in ()).throw(MemoryError))
    torch.empty(10)
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_a_torch_that_writes_no_such_log_is_an_error_and_not_a_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = allocator_log._Switches(ctypes.c_bool(), ctypes.c_int())
    monkeypatch.setattr(allocator_log, "_switches", lambda: dead)
    with pytest.raises(RuntimeError, match="torch words it differently"):
        allocator_log.traced(rig_of("memory"), lambda: None)


LINES = b"""\
[I CPUAllocator.cpp:216] C10 alloc 1 bytes, total alloc 101 bytes.
[I CPUAllocator.cpp:255] C10 deleted 1 bytes, total alloc 100 bytes.
[I CPUAllocator.cpp:216] C10 alloc 40 bytes, total alloc 140 bytes.
bptt: a backward pass begins, gradients hold 10 bytes
[I CPUAllocator.cpp:216] C10 alloc 20 bytes, total alloc 160 bytes.
[W CPUAllocator.cpp:249] Memory block of unknown size was allocated before the profiling started
[I CPUAllocator.cpp:255] C10 deleted 40 bytes, total alloc 120 bytes.
"""


def test_lines_that_are_cut_anywhere_give_the_same_account() -> None:
    script = [sys.executable, "-I", "-S", fold_log.__file__]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        for first in range(0, len(LINES), 11):
            reader.stdin.write(LINES[first : first + 11])
            reader.stdin.flush()
        said, _ = reader.communicate()
    assert said == b'{"kept_bytes": 30, "peak_bytes": 60}'
