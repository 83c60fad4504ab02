"""Rigs of small trials, for the tests of the measurements."""

from typing import Any

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
