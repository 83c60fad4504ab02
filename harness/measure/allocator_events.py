"""The CPU allocator's account from the profiler, which keeps every event until the run is over.

190 KB were seen for one step of an Elman cell, so this is for short runs: for a torch that does
not write its allocator's log (allocator_log.py), and as what that log is tested against.
"""

from __future__ import annotations

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile, record_function

from harness.measure.account import Traced, marks
from harness.rig import Rig

MARK = "bptt: a backward pass begins"


def traced(rig: Rig, run: Callable[[], None]) -> Traced:
    """Return the account of `run` from the events that the profiler kept."""
    held: list[int] = []  # at each mark

    def mark(held_bytes: int) -> None:
        held.append(held_bytes)
        with record_function(MARK):
            pass

    with (
        marks(rig, mark),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
    ):
        run()
    session = profiler.profiler
    assert session is not None, "a profiler that has run holds its session"
    live = kept = peak = passes = 0
    events = [e for e in session.kineto_results.events() if e.name() in ("[memory]", MARK)]
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == MARK:
            kept = max(kept, live - held[passes])
            passes += 1
        else:
            live += event.nbytes()
            peak = max(peak, live)
    return Traced(kept, peak, "the profiler's events")
