"""Measures one trial in this process, and turns whatever happens into its record."""

from __future__ import annotations

import functools
import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # torch.optim imports it at its first use: 1.2 s that every child would pay

from harness import environment
from harness.device import NoDevice, held_bytes
from harness.measure import capacity, gradients, memory, speed, training
from harness.measure.account import is_of_this_machine, is_out_of_memory, room
from harness.registry import Registry
from harness.rig import Rig, Skipped, build
from harness.trial import Record, Trial

MEASURES: Mapping[str, Callable[[Rig], dict[str, Any]]] = {
    "speed": speed.measure,
    "memory": memory.measure,
    "gradients": gradients.measure,
    "training": training.measure,
    "capacity": capacity.measure,
}
ASKED = re.compile(r"tried to allocate ([\d.]+) (bytes|[KMG]iB)", re.IGNORECASE)  # to 1 % on CUDA
SIZES = ("bytes", "KiB", "MiB", "GiB")  # each 1024 times the one before
ADVICE = {  # by what was full
    "limit": "raise [limits] memory",
    "node": "free memory there: without [limits] memory a trial may have what is free but a tenth",
    "accelerator": "use a larger device, or raise the limit of PYTORCH_CUDA_ALLOC_CONF there",
    "shared accelerator": "others have memory of it: see nvidia-smi there for who",
}
LAST_LINES = 12  # of a traceback: where it happened and what was said


@functools.cache
def registry_of(plugins: tuple[str, ...]) -> Registry:
    """Return the registry with the files named in the sweep."""
    return Registry.scan(map(Path, plugins))


def prepare() -> None:
    """Do once, before any trial is forked off, what would cost each of them 70 ms."""
    torch.set_flush_denormal(True)  # a child inherits it, and can say so before it runs the trial
    registry_of(())
    environment.describe()


def run_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return `run`'s record as plain data; what the executors call in a fresh process."""
    return run(Trial.from_json(data)).to_json()


def run(trial: Trial) -> Record:
    """Return the trial's record, whatever happens short of the process's end."""
    started = time.time()
    status, reason, advice, values = _attempt(trial)
    return Record(
        trial=trial,
        status=status,
        reason=reason,
        advice=advice,
        values=values,
        environment={
            **environment.describe(),
            "device_bytes_limit": held_bytes(torch.device(trial.torch_device)),
        },
        started=started,
        ended=time.time(),
    )


def _attempt(trial: Trial) -> tuple[str, str, str, dict[str, Any]]:
    """Return status, reason, advice and values."""
    rig: Rig | None = None
    try:
        # Before the first team of threads, which inherits it. A gradient that vanishes ends in
        # denormal numbers, which cost a CPU a hundred times as much as others: LSTM, H = 64,
        # T = 256 took 11 times as long, for numbers that are 0 to any optimizer. It says
        # nothing to a GPU, whose arithmetic stays as it is.
        torch.set_flush_denormal(True)
        torch.set_num_threads(trial.threads)
        # By default cuDNN rounds to TF32 where matrix products do not; rivals get one precision.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        rig = build(trial, registry_of(trial.plugins))
        return "done", "", "", MEASURES[trial.measurement](rig)
    except Skipped as skipped:
        return "skipped", str(skipped), "leave this combination out with [[exclude]]", {}
    except NoDevice as absent:
        why = absent.__cause__
        if why is not None and is_out_of_memory(why):  # too full for a context
            return _oom(why, trial, rig)
        advice = "see nvidia-smi and torch.version.cuda there, or leave the device out of the sweep"
        return "failed", str(absent), advice, {}
    except training.Diverged as diverged:
        advice = "lower learning_rate, or add a clip: clip = [{ use = 'norm', max_norm = 1.0 }]"
        return "nonfinite", str(diverged), advice, diverged.values
    except Exception as error:
        if is_out_of_memory(error):
            return _oom(error, trial, rig)  # while its trace still holds what was there
        lines = traceback.format_exc().rstrip().splitlines()[-LAST_LINES:]
        reason = f"{type(error).__name__}: {error}\n" + "\n".join(lines)
        return "failed", reason, "a bug in a plugin or in the harness; the trace names the line", {}


def _oom(
    error: BaseException, trial: Trial, rig: Rig | None
) -> tuple[str, str, str, dict[str, Any]]:
    """Return status, reason, advice and values of a trial that an allocation failed in."""
    wanted = _wanted(error, trial, rig)
    return "oom", _memory_reason(error, wanted), _memory_advice(wanted), wanted


def _wanted(error: BaseException, trial: Trial, rig: Rig | None) -> dict[str, Any]:
    """Return what a failed allocation asked for and found free, and the sequence's theory.

    Also what it was short of: "limit" (the trial's own), "node", "accelerator" or, where other
    processes have memory of that, "shared accelerator"; and whether the trial would have needed as
    much with other draws.
    """
    where = torch.device("cpu" if is_of_this_machine(error) else trial.torch_device)
    found, whole = room(where), "node" if where.type == "cpu" else "accelerator"
    own, limit = found.of == "limit", trial.limits.memory_bytes
    theory = rig.theory() if rig is not None else None
    return {
        "asked_bytes": _asked_bytes(error),
        "free_bytes": found.free_bytes,
        "limit_bytes": limit if own else None,
        # With no limit of its own, a trial has one of what its node had free as it began; and of
        # an accelerator the share that the environment may have set.
        "short_of": whole if own and limit is None else found.of,
        "steady": rig is None or rig.method.steady,
        "theory": theory and asdict(theory),
    }


def _asked_bytes(error: BaseException) -> int | None:
    """Return what an allocator says it was asked for; None: it does not say."""
    asked = ASKED.search(str(error))
    if asked is None:
        return None
    power = next(power for power, size in enumerate(SIZES) if size.lower() == asked[2].lower())
    return int(float(asked[1]) * 1024**power)


def _memory_reason(error: BaseException, wanted: Mapping[str, Any]) -> str:
    asked, limit, theory = wanted["asked_bytes"], wanted["limit_bytes"], wanted["theory"]
    first = next(iter(str(error).splitlines()), "an allocation failed")
    said = first if asked is None else f"asked for {_size(asked)}"
    predicted = f"; theory: {_size(theory['kept_bytes'])} kept for backward" if theory else ""
    of, free = "" if limit is None else f" of its limit of {_size(limit)}", wanted["free_bytes"]
    if free is None:
        return f"{said}, and it had no room to say what was free{predicted}"
    return f"{said}, {_size(free)}{of} were free{predicted}"


def _size(amount: float | int) -> str:
    """Return "1.3 GiB": rounded, so that the same lack in every block reads the same."""
    power = min(max(int(amount).bit_length() - 1, 0) // 10, 3)
    size = amount / 1024**power
    return f"{size:.{power > 0 and size < 10:d}f} {SIZES[power]}"


def _memory_advice(wanted: Mapping[str, Any]) -> str:
    first = ADVICE[wanted["short_of"]]
    return f"{first}; or shorten the sequence, or use a method that keeps less"
