"""Runs trials on Ray: on the cluster at an address, or on a local Ray of their own.

Nothing here imports Ray. A process of its own drives it (`driver.py`); if that is lost with the
head of its cluster, another takes up what is left.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.executors import implied, landing, outcome
from harness.executors.client import environment
from harness.executors.parcel import Parcel, packed
from harness.executors.protocol import Answer, Ask, Channel, Report
from harness.executors.settings import (
    ExecutorError,
    NoSuchCluster,
    OnStart,
    Settings,
    Setup,
    Site,
    UnlikeNodes,
    ignore,
)
from harness.executors.work import Work
from harness.trial import Record, Trial

EVERYWHERE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # an agent without accelerators sees none
}
LOCAL = {
    "RAY_worker_niceness": "0",  # Ray's own choice, 15, slows a timed product 70-fold
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on loopback only
    "RAY_AUTH_MODE": "token",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",  # a head that is gone stays gone
    "RAY_health_check_period_ms": "1000",  # a raylet is missed after five of them
    "RAY_memory_monitor_refresh_ms": "0",  # it kills agents for what their trials take
    "RAY_task_events_report_interval_ms": "0",  # the head's memory stays flat
}
TEMPORARY = "/tmp"  # a socket's path has at most 107 characters, and Ray's are long
START_SECONDS = 90.0  # for Ray to start or answer, ten times what a busy machine needs
PATIENCE_SECONDS = 8.0  # for Ray to end
REFUSED = "InvalidAuthToken"  # in what Ray prints
LOG_BYTES = 2000  # of what the driver printed, the end is shown


class Driver:
    """The process that drives Ray, for as long as the `with` block lasts."""

    def __init__(self, settings: Settings, parcel: Parcel | None = None) -> None:
        self._settings = replace(settings, expected={})  # each work carries its own
        self._parcel = parcel
        self._temporary = tempfile.TemporaryDirectory(
            prefix="bptt-", dir=TEMPORARY, ignore_cleanup_errors=True
        )
        # Both hold it: where both are killed at once, the folder goes all the same.
        self._sweeper = landing.sweeper(self._temporary.name)
        self._log = Path(self._temporary.name) / "log"
        own, other = socket.socketpair()
        with other, self._log.open("wb") as log:
            printed = sys.stderr if settings.ray_output else log
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.executors.driver", str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=[other.fileno(), self._sweeper],
                start_new_session=True,  # Ctrl-C at a terminal is not for it
                env=self._environment(),
            )
        # Ray's own agents look for a head that is gone for a minute.
        os.write(self._sweeper, f"{self._process.pid}\n".encode())
        self._channel = Channel(own)
        self._channel.wait_at_most(START_SECONDS)
        self._ready = False

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()
        try:
            self._process.wait(PATIENCE_SECONDS if self._ready else 0)  # Ray's start hears nothing
        except subprocess.TimeoutExpired:
            pass
        finally:  # a second Ctrl-C too
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            os.write(self._sweeper, b"\n")  # whose number that is from now on, nobody knows
            self._process.wait()
            self._channel.dispose()
            self._temporary.cleanup()
            os.close(self._sweeper)

    def events(self, works: Sequence[Work], asks: Sequence[Ask] = ()) -> Iterator[dict[str, Any]]:
        """Hand over the works, or calls for every node, then yield what is told, up to "end".

        Ends early if the driver is lost.

        Raises:
            ExecutorError: the trials cannot be run.
        """
        calls = tuple(ask.to_json() for ask in asks)
        setup = Setup(
            self._settings, os.getcwd(), self._temporary.name, len(works), calls, self._packed()
        )
        with contextlib.suppress(OSError):  # lost already: there is no event to receive either
            for message in (asdict(setup), *(work.to_json() for work in works)):
                self._channel.send(message)
        while (event := self._channel.receive()) is not None:
            if event["event"] == "error":
                raise self._error(event["why"], event["kind"])
            self._ready = True
            self._channel.wait_at_most(None)
            yield event
            if event["event"] == "end":
                return
        if not self._ready:
            why = f"Ray did not start within {START_SECONDS:g} s, or ended: {self.last_words()}"
            raise self._error(why.rstrip(": "), NoSuchCluster.__name__)

    def last_words(self) -> str:
        """Return the end of what the driver printed."""
        words = self._log.read_bytes()[-LOG_BYTES:] if self._log.exists() else b""
        return words.decode(errors="replace").strip()

    def _environment(self) -> dict[str, str]:
        variables = {**environment(), **EVERYWHERE}
        if self._settings.address is None:
            token = Path(self._temporary.name) / "token"
            token.touch(mode=0o600)
            token.write_text(secrets.token_hex(32))
            variables |= {**LOCAL, "RAY_AUTH_TOKEN_PATH": str(token)}
        return variables

    def _packed(self) -> str:
        """Return the parcel's file; empty where there is none."""
        if self._parcel is None:
            return ""
        path = Path(self._temporary.name) / "parcel"
        path.write_bytes(self._parcel.archive)
        return str(path)

    def _error(self, why: str, kind: str) -> ExecutorError:
        if kind == UnlikeNodes.__name__:
            return UnlikeNodes(why)
        if kind != NoSuchCluster.__name__ or self._settings.address is None:
            return ExecutorError(why)
        if REFUSED in self.last_words():
            return NoSuchCluster(
                f"the Ray cluster at {self._settings.address!r} wants a token, or "
                "another one: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the file that "
                "its head was started with"
            )
        return NoSuchCluster(
            f"no Ray cluster answers at {self._settings.address!r}: {why}; give its head's "
            "HOST:PORT as --address, or --address local to run on this machine"
        )


def run(
    trials: Sequence[Trial], settings: Settings, on_start: OnStart = ignore
) -> Iterator[Record]:
    """Yield the record of every trial, each as it comes; closing the generator ends the rest.

    Raises:
        ExecutorError: the trials cannot be run at all, or no longer.
    """
    parcel = None if settings.address is None else packed(trials)
    waiting = dict(enumerate(trials))
    losses = dict.fromkeys(waiting, 0)
    lives = 0
    while waiting:
        before, started = len(waiting), dict[int, str]()
        with Driver(settings, parcel) as driver:
            works = [
                Work.of(
                    index,
                    parcel.addressed(trial) if parcel else trial,
                    losses[index],
                    settings.expected.get(trial.id),
                )
                for index, trial in waiting.items()
            ]
            for event in driver.events(works):
                index = event.get("index", -1)
                if event["event"] == "started":
                    started[index] = event["node"]
                    losses[index] += 1  # unless it is told of again
                    on_start(waiting[index], event["node"])
                elif index in waiting:
                    yield _record(waiting.pop(index), event)
            words = driver.last_words()
        lives = 0 if len(waiting) < before else lives + 1
        if waiting and lives > outcome.MAX_LOSSES:
            raise ExecutorError(f"Ray was lost {lives} times and nothing ran: {words}")
        for index in started.keys() & waiting.keys():
            if losses[index] > outcome.MAX_LOSSES:
                trial, node = waiting.pop(index), started[index]
                yield outcome.loss(trial, "Ray's head was lost", node, losses[index])


def look(settings: Settings) -> Site:
    """Return what the cluster, or this machine, has to offer.

    Raises:
        NoSuchCluster: nothing answers at the address.
    """
    if settings.address is None:
        return Site(("cpu", "cuda") if _machine_has_cuda() else ("cpu",))
    with Driver(settings) as driver:
        for event in driver.events([]):
            if event["event"] == "ready":
                return Site(tuple(event["devices"]), event["open"])
    raise AssertionError("events() raises where there is no ready")


def survey(asks: Sequence[Ask], settings: Settings) -> Iterator[Answer]:
    """Yield every node's answers to the same calls, each as it comes.

    Raises:
        ExecutorError: the cluster was lost.
        NoSuchCluster: nothing answers at the address.
    """
    with Driver(settings, None if settings.address is None else packed([])) as driver:
        for event in driver.events([], asks):
            if event["event"] == "answer":
                yield Answer(event["node"], event["index"], Report(**event["report"]))
            elif event["event"] == "unanswered":
                yield Answer(event["node"], event["index"], None, event["why"])
            elif event["event"] == "end":
                return
        raise ExecutorError(f"Ray was lost: {driver.last_words()}")


def _record(trial: Trial, event: Mapping[str, Any]) -> Record:
    match event["event"]:
        case "report":
            report = Report(**event["report"])
            return outcome.record(trial, report, event["node"], event["attempts"])
        case "refused":
            return outcome.refusal(trial, event["reason"], event["advice"])
        case "implied":
            return implied.record(trial, Record.from_json(event["source"]))
        case _:
            return outcome.loss(trial, event["why"], event["node"], event["attempts"])


def _machine_has_cuda() -> bool:
    """Return whether torch can use a GPU here, in a process of its own as torch is slow to load."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    check = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
