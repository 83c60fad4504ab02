"""A sweep to its trials, in the order in which they run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from harness.registry import DeviceError, Kind, Mistake, Registry
from harness.sweep import match
from harness.sweep.read import Sweep
from harness.trial import Choice, Implementation, Trial

ALONE = ("speed",)  # measurements that have a node to themselves; the others run side by side


@dataclass(frozen=True, slots=True)
class Planned:
    """A trial, and why it is not to be run where it is not."""

    trial: Trial
    skip_reason: str | None = None


def settle(sweep: Sweep, devices: tuple[str, ...]) -> Sweep:
    """Return the sweep with `auto` replaced by the kinds of device that are there.

    Accelerators of one model are all "cuda"; those of several are told apart, as "cuda:H100".

    Raises:
        DeviceError: the sweep asks for a kind that is not.
    """
    wanted = sweep.axes.device
    kinds = tuple(dict.fromkeys(device.partition(":")[0] for device in devices))
    absent = [device for device in wanted if device not in ("auto", *kinds, *devices)]
    if absent:
        what = f'there is no device "{absent[0]}" here; there is: {", ".join(devices)}'
        raise DeviceError(Mistake("axes.device", f'{what}. "auto" takes what there is'))
    named = [device for device in wanted if device != "auto"]
    there = kinds if len(kinds) == len(devices) else devices
    settled = tuple(dict.fromkeys((*named, *(there if "auto" in wanted else ()))))
    return replace(sweep, axes=replace(sweep.axes, device=settled))


def expand(sweep: Sweep, devices: tuple[str, ...], registry: Registry) -> tuple[Planned, ...]:
    """Return every trial: block after block, timing apart from the rest, short sequences first.

    Inside a block the implementations of one point come in an order drawn by chance, so that a
    machine that grows slower or faster favours none. Where time is measured the baseline is among
    them twice: what the copy differs by is what this machine cannot tell apart.

    Raises:
        DeviceError: the sweep asks for a device that is not there.
    """
    sweep = settle(sweep, devices)
    sources = {plugin.key: plugin.sha256 for plugin in registry.plugins}
    points = sorted(_points(sweep), key=lambda point: point.sequence_length)
    planned: list[Planned] = []
    for block in range(max(sweep.blocks[name] for name in sweep.passes)):
        for group in _groups(sweep.passes):
            for point, measurement in product(points, group):
                if block < sweep.blocks[measurement] and _is_of(sweep, measurement, point):
                    planned.extend(_rivals(sweep, point, measurement, block, sources))
    return tuple(planned)


def _groups(passes: tuple[str, ...]) -> tuple[list[str], list[str]]:
    alone = [name for name in passes if name in ALONE]
    return alone, [name for name in passes if name not in ALONE]


def _is_of(sweep: Sweep, measurement: str, point: Trial) -> bool:
    """Return whether a point is measured so: the longest length is looked for from the shortest."""
    return measurement != "capacity" or point.sequence_length == min(sweep.axes.sequence_length)


def _points(sweep: Sweep) -> Iterator[Trial]:
    """Yield one trial for every point, its implementation, measurement and block still open."""
    values = sweep.axes.by_name()
    for point in product(*values.values()):
        yield Trial(
            measurement="",
            implementation=Implementation(Choice("")),
            block=0,
            seed=sweep.seed,
            plugins=sweep.plugins,
            limits=sweep.limits,
            **dict(zip(values, point, strict=True)),
        )


def _rivals(
    sweep: Sweep, point: Trial, measurement: str, block: int, sources: Mapping[str, str]
) -> Iterator[Planned]:
    """Yield every implementation at one point of one block, in an order drawn by chance."""
    order = [(implementation, 0) for implementation in sweep.implementations]
    if sweep.aa_copy and measurement in ALONE:
        order += [(one, 1) for one in sweep.implementations if one.baseline]
    random.Random(f"{sweep.seed} {block} {measurement} {point}").shuffle(order)
    for implementation, replica in order:
        trial = replace(
            point,
            measurement=measurement,
            implementation=implementation,
            block=block,
            protocol=sweep.protocols[measurement],
            sources={key: sources[key] for key in _plugins_of(point, implementation)},
            replica=replica,
        )
        yield Planned(trial, _skip_reason(sweep, trial))


def _plugins_of(point: Trial, implementation: Implementation) -> list[str]:
    named: list[tuple[Kind, Choice]] = [
        ("cells", point.cell),
        ("tasks", point.task),
        ("gradients", implementation.gradient),
        *(("clips", clip) for clip in implementation.clips),
    ]
    return sorted({f"{kind}/{choice.use}" for kind, choice in named})


def _skip_reason(sweep: Sweep, trial: Trial) -> str | None:
    facts = match.facts_of(trial)
    reasons = (each.reason for each in sweep.excludes if match.all_hold(each.conditions, facts))
    return next(reasons, None)
