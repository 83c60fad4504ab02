"""The form of a sweep file: its tables, their keys, and the type of every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Strict

from harness.sweep import units
from harness.sweep.values import (
    AXIS,
    chosen,
    device,
    joined,
    listed,
    protocol,
    read_blocks,
    read_powers,
)
from harness.trial import PASSES, Choice, Measurement

SCHEMA = 1  # of a sweep file

Count = Annotated[int, Strict(), Gt(0)]
Rate = Annotated[float, Strict(), Gt(0)]
Text = Annotated[str, Strict()]
Cells = Annotated[tuple[Choice, ...], chosen("cells")]
Tasks = Annotated[tuple[Choice, ...], chosen("tasks")]
Gradients = Annotated[tuple[Choice, ...], chosen("gradients")]
Clips = Annotated[tuple[Choice, ...], chosen("clips")]
Device = Annotated[str, Strict(), AfterValidator(device)]
Dtype = Literal["float32", "float64", "bfloat16"]
Update = Literal["window", "sequence"]
Optimizer = Literal["adam", "sgd"]


@dataclass(frozen=True, slots=True)
class Header:
    """The table [sweep]."""

    name: Text = ""
    description: Text = ""
    blocks: Annotated[dict[str, int], BeforeValidator(read_blocks)] = field(
        default_factory=lambda: read_blocks({})
    )
    seed: Annotated[int, Strict()] = 0


@dataclass(frozen=True, slots=True)
class Axes:
    """The table [axes]: every list is an axis."""

    sequence_length: Annotated[tuple[Count, ...], *AXIS, BeforeValidator(read_powers)]
    cell: Annotated[tuple[Cells, ...], *AXIS]
    task: Annotated[tuple[Tasks, ...], *AXIS]
    hidden_size: Annotated[tuple[Count, ...], *AXIS] = (128,)
    batch_size: Annotated[tuple[Count, ...], *AXIS] = (32,)
    device: Annotated[tuple[Device, ...], *AXIS] = ("auto",)
    dtype: Annotated[tuple[Dtype, ...], *AXIS] = ("float32",)
    threads: Annotated[tuple[Count, ...], *AXIS] = (1,)
    update: Annotated[tuple[Update, ...], *AXIS] = ("window",)
    optimizer: Annotated[tuple[Optimizer, ...], *AXIS] = ("adam",)
    learning_rate: Annotated[tuple[Rate, ...], *AXIS] = (0.001,)

    def by_name(self) -> dict[str, tuple[Any, ...]]:  # Any: each axis has a type of its own
        """Return every axis's values; plugins with one value for each of their parameters."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**plain, "cell": self.cells, "task": self.tasks}

    @property
    def cells(self) -> tuple[Choice, ...]:
        """Return every cell, with one value for each of its parameters."""
        return joined(self.cell)

    @property
    def tasks(self) -> tuple[Choice, ...]:
        """Return every task, with one value for each of its parameters."""
        return joined(self.task)


@dataclass(frozen=True, slots=True)
class Entry:
    """One table [[implementation]]."""

    gradient: Gradients
    name: Text = ""
    clip: Annotated[tuple[Clips, ...], BeforeValidator(listed)] = ()
    baseline: Annotated[bool, Strict()] = False


@dataclass(frozen=True, slots=True)
class Measure:
    """The table [measure]."""

    passes: Annotated[tuple[Measurement, ...], *AXIS] = PASSES
    aa_copy: Annotated[bool, Strict()] = True  # every block times the baseline a second time
    speed: Annotated[dict[str, Any], protocol("speed")] = field(default_factory=dict)
    memory: Annotated[dict[str, Any], protocol("memory")] = field(default_factory=dict)
    gradients: Annotated[dict[str, Any], protocol("gradients")] = field(default_factory=dict)
    training: Annotated[dict[str, Any], protocol("training")] = field(default_factory=dict)
    capacity: Annotated[dict[str, Any], protocol("capacity")] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LimitsTable:
    """The table [limits]."""

    trial_timeout: Annotated[float, BeforeValidator(units.seconds)] = 600.0
    memory: Annotated[int | None, BeforeValidator(units.size_bytes)] = None  # see trial.Limits


@dataclass(frozen=True, slots=True)
class Form:
    """A whole file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    schema: Literal[1]
    axes: Axes
    implementation: tuple[Entry, ...]
    sweep: Header = field(default_factory=Header)
    exclude: tuple[dict[str, Any], ...] = ()  # Any: harness/sweep/match.py reads them
    measure: Measure = field(default_factory=Measure)
    limits: LimitsTable = field(default_factory=LimitsTable)
    plugins: tuple[Text, ...] = ()


def _keys(table: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(table))


KEYS: Mapping[tuple[str, ...], tuple[str, ...]] = {  # of every table, for suggestions
    (): _keys(Form),
    ("sweep",): _keys(Header),
    ("axes",): _keys(Axes),
    ("implementation",): _keys(Entry),
    ("measure",): _keys(Measure),
    ("limits",): _keys(LimitsTable),
}
