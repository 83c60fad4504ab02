"""Rigs of small trials, for the tests of the measurements."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from harness.registry import Registry
from harness.rig import Rig, build
from harness.trial import Choice, Implementation, Trial

REGISTRY = Registry.scan()


def trial_of(
    measurement: str,
    gradient: str = "full_bptt",
    clips: tuple[Choice, ...] = (),
    params: dict[str, Any] | None = None,
    **changes: Any,
) -> Trial:
    implementation = Implementation(Choice(gradient, params or {}), clips, gradient)
    settings: dict[str, Any] = {
        "cell": Choice("lstm"),
        "task": Choice("adding"),
        "sequence_length": 24,
        "hidden_size": 8,
        "batch_size": 4,
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "update": "window",
        "optimizer": "adam",
        "learning_rate": 1e-2,
        "block": 0,
        "seed": 0,
    }
    return Trial(measurement, implementation, **{**settings, **changes})


def rig_of(*args: Any, **kwargs: Any) -> Rig:
    return build(trial_of(*args, **kwargs), REGISTRY)


@contextmanager
def room_for(more: int) -> Iterator[None]:
    """Let this process have so many bytes more, as a trial's walls do."""
    usual = resource.getrlimit(resource.RLIMIT_DATA)
    present = psutil.Process().memory_info().data
    resource.setrlimit(resource.RLIMIT_DATA, (present + more, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, usual)
