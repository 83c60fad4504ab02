"""How single values of a sweep file are read: an axis, a plugin, the blocks, a protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from annotated_types import MinLen
from pydantic import AfterValidator, BeforeValidator

from harness.registry.mistake import meant
from harness.registry.parameter import Parameter
from harness.registry.plugin import Kind
from harness.sweep import units
from harness.sweep.choices import Slip, choices_of, slips
from harness.trial import MEASUREMENTS, PROTOCOLS, Choice

BLOCKS = 8  # an exact 95 % interval of paired blocks needs 6 (MEASURING); 8 leave two to lose
EXACT = (
    "memory",
    "capacity",
)  # measurements that repeat to the byte: one block says all there is to know

ACCELERATORS = ("cuda",)
DEVICES = ("cpu", *ACCELERATORS)  # kinds; "cuda:H100" is a model of one

T = TypeVar("T")


def listed(value: object) -> object:
    """Return one value as a list of one."""
    return value if isinstance(value, list) else [value]


def distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    """Return the values, which must differ.

    Raises:
        ValueError: two of them are equal.
    """
    twice = [value for index, value in enumerate(values) if value in values[:index]]
    if twice:
        raise ValueError(f"{twice[0]} is there twice")
    return values


def joined(choices: tuple[tuple[Choice, ...], ...]) -> tuple[Choice, ...]:
    """Return the choices of several entries as one tuple."""
    return tuple(choice for several in choices for choice in several)


AXIS = (MinLen(1), BeforeValidator(listed), AfterValidator(distinct))


def device(value: str) -> str:
    """Return the value, which must be "auto", a kind of device, or a model of that kind.

    Raises:
        ValueError: it is none of them.
    """
    kind, _, model = value.partition(":")
    if value in ("auto", *DEVICES) or (kind in ACCELERATORS and model):
        return value
    known = ", ".join(("auto", *DEVICES, *(f"{name}:MODEL" for name in ACCELERATORS)))
    raise ValueError(f"{value!r} is not known{meant(value, ('auto', *DEVICES))} It can be: {known}")


def chosen(kind: Kind) -> BeforeValidator:
    """Return what reads a plugin's name or inline table."""

    # Any: pydantic's ValidationInfo is a protocol, which jaxtyping cannot check when it runs
    def validate(value: object, info: Any) -> tuple[Choice, ...]:
        return choices_of(kind, value, info.context)  # read.py hands the registry over

    return BeforeValidator(validate)


def read_powers(value: object) -> object:
    """Return the list that "2^6..2^11" stands for."""
    return listed(units.powers(value))


def read_blocks(value: object) -> dict[str, int]:
    """Return the blocks of every measurement, from one number or a table.

    Raises:
        PydanticCustomError: with every mistake in it.
    """
    given = value if isinstance(value, dict) else dict.fromkeys(MEASUREMENTS, value)
    wrong: list[Slip] = []
    for name, count in given.items():
        place = (name,) if isinstance(value, dict) else ()
        if name not in MEASUREMENTS:
            known = f"{meant(name, MEASUREMENTS)} There are: {', '.join(MEASUREMENTS)}"
            wrong.append((place, f"there is no such measurement{known}"))
        elif type(count) is not int or count < 1:
            wrong.append((place, f"{count!r} is not a whole number above 0"))
    if wrong:
        raise slips(*dict.fromkeys(wrong))
    usual = {name: 1 if name in EXACT else BLOCKS for name in MEASUREMENTS}
    if isinstance(value, dict):
        return {**usual, **given}
    return {**given, **dict.fromkeys(EXACT, 1)}


def protocol(name: str) -> BeforeValidator:
    """Return what reads the table of a measurement's settings."""
    fields: Mapping[str, Any] = PROTOCOLS[name].__annotations__  # texts: annotations are postponed
    settings = {key: Parameter(key, str(kind)) for key, kind in fields.items()}

    def validate(value: object) -> dict[str, object]:
        if not isinstance(value, dict):
            raise slips(((), f"{value!r} is not a table of settings"))
        wrong: list[Slip] = []
        fitted: dict[str, object] = {}
        for key, given in value.items():
            if key not in settings:
                known = f"{meant(key, settings)} It has: {', '.join(settings) or 'none'}"
                wrong.append(((key,), f"measure.{name} has no such setting{known}"))
                continue
            try:
                fitted[key] = settings[key].fit(given)
                wrong += [((key,), why) for why in _out_of_range(settings[key], given)]
            except ValueError as error:
                wrong.append(((key,), str(error)))
        if wrong:
            raise slips(*wrong)
        return fitted

    return BeforeValidator(validate)


def _out_of_range(setting: Parameter, given: Any) -> Iterator[str]:  # Any: a number of its type
    """Yield why a setting of the right type cannot be: no sequences, seconds below 0."""
    if setting.annotation.startswith("int") and given < 1:
        yield f"{given!r} is not a whole number above 0"
    elif not given >= 0:  # TOML's nan is not either
        yield f"{given!r} is not 0 or more"
    elif setting.name.startswith("budget") and given == 0:
        yield f"{given!r} is a budget for nothing"
