"""Conditions on trials and records: `cell=lstm`, `sequence_length>=1024`, `status=oom`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from harness.registry.mistake import meant
from harness.sweep.form import Dtype, Optimizer, Update
from harness.sweep.values import DEVICES
from harness.trial import MEASUREMENTS, STATUSES, Choice, Record, Trial

Fact = str | int | float
COMPARISONS: Mapping[str, Callable[[Fact, Fact], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
SHORT: Mapping[str, str] = {"T": "sequence_length", "H": "hidden_size", "B": "batch_size"}
NUMBERS = (
    "sequence_length",
    "hidden_size",
    "batch_size",
    "threads",
    "learning_rate",
    "block",
    "replica",
)
NAMES = (
    "measurement",
    "implementation",
    "gradient",
    "clip",
    "cell",
    "task",
    "device",
    "dtype",
    "update",
    "optimizer",
)
OF_TRIAL = (*NUMBERS, *NAMES)
OF_RECORD = (*OF_TRIAL, "status")
WORDS: Mapping[str, tuple[str, ...]] = {  # a key with few values -> all that it can have
    "measurement": MEASUREMENTS,
    "status": STATUSES,
    "device": DEVICES,
    "dtype": get_args(Dtype),
    "update": get_args(Update),
    "optimizer": get_args(Optimizer),
}
_TERM = re.compile(r"\s*(\w+)\s*(>=|<=|!=|=|>|<)\s*(\"[^\"]*\"|[^\s,<>=!]+)\s*,?")
_COMPARED = re.compile(r"\s*(>=|<=|!=|=|>|<)\s*(.+?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """`key` compared with one of `values`; `=` holds for any of them."""

    key: str
    comparison: str
    values: tuple[Fact, ...]

    def __str__(self) -> str:
        return f"{self.key}{self.comparison}{' or '.join(map(_text, self.values))}"

    def holds(self, facts: Mapping[str, tuple[Fact, ...]]) -> bool:
        """Return whether it is true of a trial or a record."""
        compare = COMPARISONS[self.comparison]
        found = [compare(fact, value) for fact in facts[self.key] for value in self.values]
        return all(found) if self.comparison == "!=" else any(found)


def facts_of(trial: Trial) -> dict[str, tuple[Fact, ...]]:
    """Return what conditions can be about; a plugin answers to its name, with parameters or not."""
    own = trial.implementation
    return {
        "sequence_length": (trial.sequence_length,),
        "hidden_size": (trial.hidden_size,),
        "batch_size": (trial.batch_size,),
        "threads": (trial.threads,),
        "learning_rate": (trial.learning_rate,),
        "block": (trial.block,),
        "replica": (trial.replica,),
        "measurement": (trial.measurement,),
        "implementation": (own.label,),
        "gradient": _names(own.gradient),
        "clip": tuple(name for clip in own.clips for name in _names(clip)),
        "cell": _names(trial.cell),
        "task": _names(trial.task),
        "device": (trial.device, trial.torch_device),
        "dtype": (trial.dtype,),
        "update": (trial.update,),
        "optimizer": (trial.optimizer,),
    }


def _names(choice: Choice) -> tuple[str, str]:
    return choice.use, str(choice)


def facts_of_record(record: Record) -> dict[str, tuple[Fact, ...]]:
    """Return the facts of the record's trial, and its status."""
    return {**facts_of(record.trial), "status": (record.status,)}


def all_hold(conditions: tuple[Condition, ...], facts: Mapping[str, tuple[Fact, ...]]) -> bool:
    """Return whether every condition is true."""
    return all(condition.holds(facts) for condition in conditions)


def unmet(conditions: Iterable[Condition], trials: Iterable[Trial]) -> str:
    """Return what to correct where none of the trials meets a condition; "" if each is met."""
    every = [facts_of(trial) for trial in trials]
    for one in conditions:
        if any(one.holds(facts) for facts in every):
            continue
        known = dict.fromkeys(fact for facts in every for fact in facts[one.key])
        hint = meant(str(one.values[0]), map(str, known)) if one.key in NAMES else "."
        return f"no trial has {one}{hint} {_values(known) if known else 'None has any'}"
    return ""


def parse(text: str, keys: tuple[str, ...]) -> tuple[Condition, ...]:
    """Return the conditions of `cell=lstm sequence_length>=1024`, all of which must hold.

    Raises:
        ValueError: a term is not KEY, comparison, VALUE with a known key.
    """
    terms, at = [], 0
    while at < len(text.rstrip()):
        found = _TERM.match(text, at)
        if found is None:
            raise ValueError(
                f'{text[at:].strip()!r} is not KEY=VALUE, nor a comparison like "T>=1024"'
            )
        terms.append(condition(found[1], found[2], found[3].strip('"'), keys))
        at = found.end()
    return tuple(terms)


def of_value(key: str, value: object, keys: tuple[str, ...]) -> Condition:
    """Return the condition that a TOML value states: one value, a list of them, or ">= 2048".

    Raises:
        ValueError: the key is not known, or it cannot be compared with such a value.
    """
    if isinstance(value, list):
        return Condition(key, "=", tuple(_fact(key, one) for one in value))
    found = _COMPARED.fullmatch(value) if isinstance(value, str) else None
    return condition(key, found[1], found[2], keys) if found else condition(key, "=", value, keys)


def condition(key: str, comparison: str, value: object, keys: tuple[str, ...]) -> Condition:
    """Return one comparison.

    Raises:
        ValueError: the key is not known, or it cannot be compared so.
    """
    key = SHORT.get(key, key)
    if key not in keys:
        raise ValueError(f"there is no {key!r} to compare{meant(key, keys)} {_values(keys)}")
    if key not in NUMBERS and comparison not in ("=", "!="):
        raise ValueError(f"{key} is a name: it can be = or !=, not {comparison}")
    return Condition(key, comparison, (_fact(key, value),))


def _fact(key: str, value: object) -> Fact:
    if key not in NUMBERS and isinstance(value, str):
        words = WORDS.get(key, (value,))
        if value not in words and not (key == "device" and value.partition(":")[0] in words):
            raise ValueError(f"there is no {key} {value!r}{meant(value, words)} {_values(words)}")
        return value
    try:
        if key in NUMBERS and isinstance(value, int | float | str) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    wanted = 'a number or a comparison like ">= 2048"' if key in NUMBERS else "a name"
    raise ValueError(f"{value!r} is not {wanted}")


def _values(values: Iterable[Fact]) -> str:
    return f"It can be: {', '.join(map(_text, values))}"


def _text(value: Fact) -> str:
    return value if isinstance(value, str) else f"{value:.12g}"
