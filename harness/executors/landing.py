"""What arrives on a node first: it unpacks the parcel there and becomes the node's agent.

Ray carries this file's own source to nodes that have nothing else of the harness, so it imports
what Python has and, once the parcel is unpacked, the agent.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

DATA = "data"  # the parcel's folder of data packs
COMMIT = "COMMIT"  # the parcel's file that says which commit its code is of
MUST_AGREE = ("torch", "ray")  # beside Python: a record of other versions answers another question
SERVER_MARK = "BPTT_FORK_SERVER"  # a variable of one and of all below it: the folder it is in
# Outlives whoever started it, killed or not. The last line it reads is a process group to end, or
# empty; a few turns, for what starts others as it is killed.
SWEEPER = """
exec 3<&0
(
    group=
    while read -r line <&3; do group=$line; done
    [ -z "$group" ] || kill -9 "-$group"
    sleep 1
    for turn in 1 2 3; do
        for file in $(grep -lsF "$2=$1" /proc/[0-9]*/environ); do
            file=${file#/proc/}
            kill -9 "${file%/environ}"
        done
    done
    rm -rf -- "$1"
) >/dev/null 2>&1 &
"""


def versions() -> dict[str, str]:
    """Return which Python, torch and Ray are installed here; no torch is imported for it."""
    return {"Python": platform.python_version(), **{name: _version(name) for name in MUST_AGREE}}


def unlike(node: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Return one sentence on the versions that differ; empty: none does."""
    differ = [name for name in ours if theirs.get(name) != ours[name]]
    if not differ:
        return ""
    there = ", ".join(f"{name} {theirs.get(name) or '(none)'}" for name in differ)
    here = ", ".join(f"{name} {ours[name] or '(none)'}" for name in differ)
    return (
        f"node {node} has {there} where the sweep was launched with {here}; install the same on "
        "every node, or leave that one out of the cluster"
    )


class Landing:
    """An agent made from a parcel, in a folder that ends with it; it has the agent's methods."""

    def __init__(self, archive: bytes, sha256: str, ours: Mapping[str, str], module: str) -> None:
        self._agent: Any = None  # an Agent, whose class comes in the parcel
        self._fault = unlike(socket.gethostname(), versions(), ours)
        if self._fault:
            return
        try:
            self._folder = tempfile.mkdtemp(prefix="bptt-")
            self._sweeper = sweeper(self._folder)  # open as long as this process lives
            _unpack(archive, sha256, self._folder)
            self._agent = _agent(self._folder, module)
        except (OSError, ValueError, ImportError) as error:
            self._fault = f"it cannot use what the sweep brings: {error}"

    def hello(self) -> dict[str, Any]:
        """Return the agent's answer, or the fault that keeps one from being."""
        if self._agent is not None:
            return dict(self._agent.hello())
        who = {"name": socket.gethostname(), "pid": os.getpid(), "cores": (), "gpus": ()}
        return {**who, "fault": self._fault, "passing": False}

    def run(self, request: Mapping[str, Any], exclusive: bool) -> dict[str, Any]:
        """Return the agent's report of a request."""
        return dict(self._agent.run(request, exclusive))

    def close(self) -> None:
        """End the agent, leaving no file behind."""
        if self._agent is not None:
            self._agent.close()
            shutil.rmtree(self._folder, ignore_errors=True)


def sweeper(folder: str) -> int:
    """Start what ends the fork servers of a folder, and removes it, later.

    Returned is a descriptor; the time comes once all that hold it have closed it or were killed.
    The number of a process group, a line written to it, is that of one to be ended as well.
    """
    reading, writing = os.pipe()
    # Its shell ends at once: nobody's child, the rest of it ends with no one.
    subprocess.run(
        ["sh", "-c", SWEEPER, "sh", folder, SERVER_MARK],
        stdin=reading,
        check=True,
        start_new_session=True,
    )
    os.close(reading)
    return writing


def _unpack(archive: bytes, sha256: str, folder: str) -> None:
    if hashlib.sha256(archive).hexdigest() != sha256:
        raise ValueError("the parcel was damaged on its way")
    with zipfile.ZipFile(io.BytesIO(archive)) as parcel:
        parcel.extractall(folder)


def _agent(folder: str, module: str) -> Any:
    """Return the agent; what it starts finds code, data and plugins in the folder first."""
    sys.path.insert(0, folder)
    os.environ["BPTT_DATA"] = os.path.join(folder, DATA)
    from harness.executors.agent import Agent

    return Agent(module, folder, folder, None)


def _version(name: str) -> str:
    """Return a release, without what a build for other hardware adds to it: 2.9.0+cu126."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return ""
