"""The longest sequence that trains under a cap on memory, found by trying, beside what theory says.

Values: cap_bytes (the trial's limit; without one what the device has free), longest_length (0: the
sweep's own length does not fit), predicted_length (by the method's formula, whose peak is what is
static, the batch, what is kept and what it says of the backward pass; null without a formula),
too_long (the shortest length seen not to fit; null where none was), bounded_by ("cap"; "memory": an
allocation failed below the cap, for the limit of a process holds more than its tensors; "time":
what is left of it is too short for a longer sequence; "task": it has no longer sequences), probes
([length, peak bytes], null where it failed), counted_by.

The peak grows with the length as a line, or nearly: each probe is put where the line through the
last two reaches the cap, and inside the bracket of what fits and what does not; shorter, where the
time that is left is for a shorter one.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NoReturn

import psutil
import torch

from harness.contract import Draw
from harness.measure.account import is_out_of_memory
from harness.measure.memory import Account, account, batch_bytes, held, theory_static_bytes
from harness.rig import Rig
from harness.trial import CapacityProtocol

FREE_SHARE = 0.9  # of what is free: with none left every program stands still
TIME_SHARE = 0.8  # of the trial's limit: the record must still be written
MARGIN = 1.25  # a longer sequence takes more than its share: caches are left behind
FARTHEST = 16  # times the longest that fits: a line through two short probes may be off
LINES = 8  # probes; from there on the bracket is halved, as no line was close
SHORTEST = 1e-9  # seconds, the step of the clock: no probe takes none
LONGEST = 2**40  # steps: a method whose memory does not grow has no predicted end


@dataclass
class Search:
    """What is known so far."""

    cap: int
    fits: int = 0
    too_long: int | None = None
    bounded_by: str = ""
    probes: list[tuple[int, int | None]] = field(default_factory=list)

    def learn(self, length: int, peak: int | None) -> None:
        """Note what a length needed; None: it ran out of memory."""
        self.probes.append((length, peak))
        if peak is not None and peak <= self.cap:
            self.fits = max(self.fits, length)
            return
        self.too_long = min(length, self.too_long or length)
        self.bounded_by = "memory" if peak is None else "cap"

    def next(self, precision: float) -> int | None:
        """Return the length to try next; None: the answer is known as well as asked."""
        target = self._where_the_line_ends()
        if self.too_long is None:
            return max(self.fits + 1, min(target or 2 * self.fits, FARTHEST * self.fits))
        step = max(1, int(precision * self.fits))
        if self.too_long - self.fits <= step:
            return None
        if target is None or self.bounded_by == "memory" or len(self.probes) >= LINES:
            return (self.fits + self.too_long) // 2
        return max(self.fits + step, min(target, self.too_long - step))

    def _where_the_line_ends(self) -> int | None:
        known = dict((length, peak) for length, peak in self.probes if peak is not None)
        if len(known) < 2:
            return None
        (one, low), (other, high) = sorted(known.items())[-2:]
        if high <= low:
            return None
        return int(one + (self.cap - low) * (other - one) / (high - low))


def measure(rig: Rig) -> dict[str, Any]:
    """Return the longest length under the cap, and every length that was tried."""
    protocol = CapacityProtocol(**rig.trial.protocol)
    budget = min(protocol.max_seconds, TIME_SHARE * rig.trial.limits.seconds)
    search = Search(cap_bytes(rig))
    counted_by = ""

    def peak(length: int) -> int | None:
        nonlocal counted_by
        found = _needed_apart(rig, length) if rig.device.type == "cpu" else _needed(rig, length)
        counted_by = found.counted_by if found is not None else counted_by
        return None if found is None else found.peak

    _explore(search, peak, rig, protocol.precision, budget)
    return {
        "cap_bytes": search.cap,
        "longest_length": search.fits,
        "predicted_length": predicted_length(rig, search.cap),
        "too_long": search.too_long,
        "bounded_by": search.bounded_by,
        "probes": search.probes,
        "counted_by": counted_by,
    }


def _explore(
    search: Search,
    peak: Callable[[int], int | None],
    rig: Rig,
    precision: float,
    budget: float,
) -> None:
    """Try lengths until the answer is known, or the time or the task's sequences end."""
    began, length = time.monotonic(), rig.trial.sequence_length
    while True:
        start = time.monotonic()
        search.learn(length, peak(length))
        now = time.monotonic()
        spent, left = max(now - start, SHORTEST), began + budget - now
        following = search.next(precision) if search.fits else None
        if following is None:
            return
        most = int(length * left / (MARGIN * spent))
        if most < search.fits + max(1, int(precision * search.fits)):
            search.bounded_by = "time"
            return
        length = min(following, most)
        if _refused(rig, length):
            search.bounded_by = "task"
            return


def _refused(rig: Rig, length: int) -> bool:
    return rig.task.refuses(Draw(length, rig.trial.batch_size)) is not None


def _needed(rig: Rig, length: int) -> Account | None:
    """Return what a sequence of another length needs; None: it ran out of memory."""
    _tidy(rig.device)
    longer = replace(rig, trial=replace(rig.trial, sequence_length=length))
    optimizer = longer.optimizer(learning_rate=0.0)
    try:
        batch = longer.batch()
        drive = longer.drive(optimizer)
        step = batch.window(0, 1)  # of which a first update makes what stays
        drive.sequence(step, drive.begin(rig.trial.batch_size, rig.generator("method")))
        return account(longer, optimizer, batch)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def _tidy(device: torch.device) -> None:
    """Give back what an accelerator's allocator keeps of the length before, in pieces as it is."""
    if device.type != "cpu":
        gc.collect()  # a graph that holds itself holds its tensors too
        torch.accelerator.synchronize(device)
        torch.accelerator.empty_cache()


def _needed_apart(rig: Rig, length: int) -> Account | None:
    """Return the same from a fork of this process, whose heap is still whole.

    A sequence that ran out of memory leaves the heap in pieces, and one half as long ran out too.

    Raises:
        RuntimeError: the fork failed for another reason.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(rig, length, send)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(said) if said else {"account": None}  # the kernel ended it
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return Account(**answer["account"]) if answer["account"] else None


def _answer(rig: Rig, length: int, send: int) -> NoReturn:
    """Write the fork's answer, and end it."""
    try:
        torch.set_num_threads(1)  # a team of threads does not outlive a fork
        found = _needed(rig, length)
        said: dict[str, Any] = {"account": found and asdict(found)}
    except BaseException as error:  # whatever it is, the process that waits must hear of it
        said = {"error": f"{type(error).__name__}: {error}"}
    os.write(send, json.dumps(said).encode())
    os._exit(0)  # the exit handlers are those of the process that waits


def cap_bytes(rig: Rig) -> int:
    """Return the trial's limit, or what the device can still give."""
    if rig.trial.limits.memory_bytes is not None:
        return rig.trial.limits.memory_bytes
    if rig.device.type == "cpu":
        return int(FREE_SHARE * psutil.virtual_memory().available)
    free, _ = torch.accelerator.get_memory_info(rig.device)
    return int(FREE_SHARE * free)


def predicted_length(rig: Rig, cap: int) -> int | None:
    """Return the longest length whose peak is under the cap by theory."""
    shape, static = rig.shape(), theory_static_bytes(rig)
    step = batch_bytes(rig.batch()) / rig.trial.sequence_length
    if rig.theory() is None:
        return None

    def fits(length: int) -> bool:
        cost = rig.method.cost(replace(shape, length=length))
        return cost is not None and static + step * length + held(cost) <= cap

    low, high = 0, 1
    while fits(high) and high < LONGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
