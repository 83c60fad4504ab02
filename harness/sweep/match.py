"""Conditions on trials and records: `cell=lstm`, `sequence_length>=1024`, `status=oom`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.registry.mistake import meant
from harness.trial import Choice, Record, Trial

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
_TERM = re.compile(r"\s*(\w+)\s*(>=|<=|!=|=|>|<)\s*(\"[^\"]*\"|[^\s,<>=!]+)\s*,?")
_COMPARED = re.compile(r"\s*(>=|<=|!=|=|>|<)\s*(.+?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """`key` compared with one of `values`; `=` holds for any of them."""

    key: str
    comparison: str
    values: tuple[Fact, ...]

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
        "measurement": (trial.measurement,),
        "implementation": (own.label,),
        "gradient": _names(own.gradient),
        "clip": tuple(name for clip in own.clips for name in _names(clip)),
        "cell": _names(trial.cell),
        "task": _names(trial.task),
        "device": (trial.device,),
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
        raise ValueError(
            f"there is no {key!r} to compare{meant(key, keys)} It can be: {_all(keys)}"
        )
    if key not in NUMBERS and comparison not in ("=", "!="):
        raise ValueError(f"{key} is a name: it can be = or !=, not {comparison}")
    return Condition(key, comparison, (_fact(key, value),))


def _fact(key: str, value: object) -> Fact:
    if key not in NUMBERS and isinstance(value, str):
        return value
    try:
        if key in NUMBERS and isinstance(value, int | float | str) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    wanted = 'a number or a comparison like ">= 2048"' if key in NUMBERS else "a name"
    raise ValueError(f"{value!r} is not {wanted}")


def _all(keys: tuple[str, ...]) -> str:
    return ", ".join(keys)
