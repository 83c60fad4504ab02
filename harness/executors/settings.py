"""What a user chooses about where trials run, and the errors such a choice can end in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.trial import Trial

OnStart = Callable[[Trial, str], None]  # told the trial, and the node, as it begins
ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:/]+)):([0-9]{1,5})")  # HOST:PORT
LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Settings:
    """Where trials run, and what runs them."""

    address: str | None = None  # of a Ray cluster; None: a Ray of our own on this machine
    target: str = "harness.worker:run_json"  # called in a fresh process: trial JSON -> record JSON
    slots: int | None = None  # trials at a time on a node; None: one for each physical core
    ray_output: bool = False  # what Ray prints goes to this command's standard error
    expected: Mapping[str, float] = field(default_factory=dict)  # seconds of trials, by id

    @property
    def module(self) -> str:
        """Return the module that a fork server imports; it calls its `prepare` before any trial."""
        return self.target.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Site:
    """What was found where trials will run."""

    devices: tuple[str, ...]  # their kinds
    open: bool = False  # a cluster that let this command in without a token


@dataclass(frozen=True, slots=True)
class Setup:
    """The first message to the driver: what to do, and how many works follow."""

    settings: Settings
    folder: str  # the command's working directory
    temporary: str  # a folder for files that are not kept
    works: int
    asks: tuple[Mapping[str, Any], ...] = ()  # instead of works: to be called on every node
    parcel: str = ""  # the file of a parcel, for nodes that have nothing of the harness


class ExecutorError(Exception):
    """The trials could not be run at all; the message is for the user."""


class NoSuchCluster(ExecutorError):
    """There is no Ray cluster at the address."""


class NodesLost(ExecutorError):
    """Every node was lost, and through no fault of what it was to run."""


class UnlikeNodes(ExecutorError):
    """A node's Python, torch or Ray is not that of the machine that launched the sweep."""


def host_and_port(address: str) -> tuple[str, int] | None:
    """Return the two of HOST:PORT, an IPv6 host without its brackets; None of anything else."""
    found = ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[3]) <= LAST_PORT:
        return None
    return found[1] or found[2], int(found[3])


def ignore(trial: Trial, node: str) -> None:
    """Do nothing when a trial begins."""
