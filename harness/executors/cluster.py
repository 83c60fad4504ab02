"""The nodes of a Ray cluster and the agents on them; the only file that knows Ray."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import (
    ActorUnschedulableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.executors import landing
from harness.executors.agent import Agent
from harness.executors.cores import physical_cores
from harness.executors.settings import NoSuchCluster, Setup, UnlikeNodes, host_and_port

INFRASTRUCTURE = (
    RayActorError,  # died, or out of reach
    ActorUnschedulableError,  # its node died before it was there
    NodeDiedError,
    ObjectLostError,  # an answer, with its node
    OutOfMemoryError,
)
STORE_BYTES = 80_000_000  # of shared memory: about Ray's least, as all that travels is small
ACCELERATOR_LABEL = "ray.io/accelerator-type"  # of a node
ACCELERATOR_TYPE = "accelerator_type:"  # begins a resource's name
KNOCK_SECONDS = 5.0  # for a connection across any network
AUTHENTICATION = "RAY_AUTH_MODE"  # "token", which Ray sets by itself where it comes upon one
VERSIONS_SECONDS = 30.0  # for all nodes to say what is installed; the rest is told as they land
MISMATCH = "Version mismatch"  # how Ray begins when a driver's Python or Ray is not the cluster's
QUIET: Mapping[str, Any] = {
    "include_dashboard": False,
    "log_to_driver": False,
    "logging_level": logging.ERROR,
}
LOUD: Mapping[str, Any] = {**QUIET, "log_to_driver": True, "logging_level": logging.INFO}

Handle = Any  # of an agent
Reference = Any  # to an answer that may still be to come


@dataclass(frozen=True, slots=True)
class Offer:
    """A node and what Ray may give of it."""

    key: str
    name: str
    cpus: float
    gpus: float
    slots: int  # trials at a time, as far as can be told from here
    accelerator: str = ""  # as a device: "cuda:H100"; "cuda", where Ray knows no more


@dataclass(frozen=True, slots=True)
class Lost:
    """In place of an answer: the agent or its node is gone."""

    why: str


class Cluster:
    """A connection to Ray: agents started, asked and killed in plain words.

    Raises:
        NoSuchCluster: nothing answers at the address.
    """

    def __init__(self, address: str | None, temporary: str, loud: bool = False) -> None:
        """Connect; what the workers print is shown where it is to be `loud`."""
        quiet = LOUD if loud else QUIET
        self._local = address is None
        self._parcel: tuple[Any, ...] = ()
        try:
            if address is None:
                # One CPU is all that Ray gives away, to the agent; it starts as many workers.
                ray.init(
                    "local",
                    num_cpus=1,
                    object_store_memory=STORE_BYTES,
                    _temp_dir=temporary,
                    **quiet,
                )
            else:
                _knock(address)
                ray.init(address, **quiet)
        except (OSError, ValueError, RuntimeError) as error:
            if str(error).startswith(MISMATCH):
                raise UnlikeNodes(" ".join(str(error).split())) from error
            raise NoSuchCluster(str(error)) from error

    def offers(self) -> list[Offer]:
        """Return the nodes that are alive and have a processor to give."""
        nodes = [
            node
            for node in ray.nodes()  # type: ignore[no-untyped-call]  # Ray's gap
            if node["Alive"] and node["Resources"].get("CPU", 0.0) >= 1
        ]
        return [
            Offer(
                key=node["NodeID"],
                name=_name(node, nodes),
                cpus=node["Resources"]["CPU"],
                gpus=node["Resources"].get("GPU", 0.0),
                slots=len(physical_cores()) if self._local else int(node["Resources"]["CPU"]),
                accelerator=_accelerator(node),
            )
            for node in nodes
        ]

    def devices(self) -> list[str]:
        """Return the kinds of device that the nodes claim."""
        return ["cpu", *sorted({offer.accelerator for offer in self.offers()} - {""})]

    def open(self) -> bool:
        """Return whether this cluster let us in without a token."""
        return not self._local and os.environ.get(AUTHENTICATION, "").lower() != "token"

    def ship(self, archive: bytes) -> None:
        """Have agents be made from a parcel, on nodes that may have nothing of the harness.

        Raises:
            UnlikeNodes: a node has another Python, torch or Ray than this machine.
        """
        cloudpickle.register_pickle_by_value(landing)  # type: ignore[no-untyped-call]  # Ray's gap
        ours = landing.versions()
        for name, theirs in self._versions():
            if said := landing.unlike(name, theirs, ours):
                raise UnlikeNodes(said)
        self._parcel = (ray.put(archive), hashlib.sha256(archive).hexdigest(), ours)

    def _versions(self) -> list[tuple[str, Mapping[str, str]]]:
        """Return the name of each node that answers in time, and what is installed there."""
        asked = {
            ray.remote(landing.versions)
            .options(num_cpus=0, scheduling_strategy=_on(offer))
            .remote(): offer.name
            for offer in self.offers()
        }
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=VERSIONS_SECONDS)
        answers = [(asked[reference], _value(reference)) for reference in ready]
        return [(name, answer) for name, answer in answers if answer is not None]

    def start(self, offer: Offer, setup: Setup, path: str | None) -> Handle:
        """Start the one agent of a node; it has all that Ray may give of it."""
        module = setup.settings.module
        made = landing.Landing if self._parcel else Agent
        arguments = (
            (*self._parcel, module)
            if self._parcel
            else (module, setup.folder, setup.temporary, path)
        )
        return (
            ray.remote(made)
            .options(
                num_cpus=offer.cpus,
                num_gpus=offer.gpus,
                max_restarts=0,
                max_concurrency=offer.slots + 2,  # `hello` is answered however many trials run
                scheduling_strategy=_on(offer),
            )
            .remote(*arguments)
        )

    def hello(self, agent: Handle) -> Reference:
        """Ask an agent what it offers."""
        return agent.hello.remote()

    def run(self, agent: Handle, request: Mapping[str, Any], exclusive: bool) -> Reference:
        """Have an agent run a request."""
        return agent.run.remote(request, exclusive)

    def answers(
        self, references: Sequence[Reference], seconds: float
    ) -> list[tuple[Reference, Mapping[str, Any] | Lost]]:
        """Return the answers that are there, after waiting for a first one."""
        ready, _ = ray.wait(list(references), num_returns=1, timeout=seconds)
        return [(reference, _answer(reference)) for reference in ready]

    def kill(self, agent: Handle) -> None:
        """End an agent, its fork server and its trials."""
        ray.kill(agent)

    def dismiss(self, agents: Sequence[Handle], seconds: float) -> None:
        """Let agents end in their own way, if that takes no longer; Ray's way is to kill them."""
        ends = [agent.close.remote() for agent in agents]
        if ends:
            ray.wait(ends, num_returns=len(ends), timeout=seconds)

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        ray.shutdown()


def _on(offer: Offer) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(offer.key, soft=False)


def _name(node: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return the host's name, told apart where it has several nodes."""
    host: str = node["NodeManagerHostname"]
    alone = sum(each["NodeManagerHostname"] == host for each in nodes) == 1
    return host if alone else f"{host} ({node['NodeID'][:6]})"


def _accelerator(node: Mapping[str, Any]) -> str:
    """Return the device that a node's accelerators are, by its labels or else its resources."""
    if not node["Resources"].get("GPU"):
        return ""
    marks = [name for name in node["Resources"] if name.startswith(ACCELERATOR_TYPE)]
    found = [name.removeprefix(ACCELERATOR_TYPE) for name in sorted(marks)]
    label = (node.get("Labels") or {}).get(ACCELERATOR_LABEL)
    return ":".join(["cuda", *([label] if label else found[:1])])


def _value(reference: Reference) -> Mapping[str, str] | None:
    """Return an answer; None where its node was lost."""
    try:
        return dict(ray.get(reference))
    except RayError:
        return None


def _knock(address: str) -> None:
    """Raise an OSError if nothing listens: Ray would try for a minute, then end the process."""
    head = host_and_port(address)
    if head is not None:  # not "auto", which Ray looks up by itself
        socket.create_connection(head, KNOCK_SECONDS).close()


def _answer(reference: Reference) -> Mapping[str, Any] | Lost:
    try:
        answer: Any = ray.get(reference)
    except INFRASTRUCTURE as error:
        return Lost(f"what runs trials there was lost: {str(error).strip().splitlines()[0]}")
    return dict(answer)
