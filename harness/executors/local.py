"""Calls on this machine without Ray: fresh processes, one after another, of a fork server.

For a few short trials whose times count, before a sweep: Ray's start would take longer than they.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from harness.executors import outcome
from harness.executors.client import Client, Launch, ServerLost
from harness.executors.cores import physical_cores
from harness.executors.protocol import Answer, Ask
from harness.executors.settings import ExecutorError, OnStart, Settings, ignore
from harness.trial import Record, Trial


def survey(asks: Sequence[Ask], settings: Settings) -> Generator[Answer, None, None]:
    """Yield this machine's answers, in order; closing the generator ends the rest.

    Raises:
        ExecutorError: the fork server ended.
    """
    node, cores, gpus = socket.gethostname(), physical_cores(), _gpus()
    launch = Launch(settings.module)
    try:
        client = Client(launch.path)
        try:
            for index, ask in enumerate(asks):
                yield Answer(node, index, client.submit(ask.request(cores, gpus)).result())
        finally:
            client.close()
    except ServerLost as lost:
        raise ExecutorError(str(lost)) from lost
    finally:
        launch.close()


def run(
    trials: Sequence[Trial], settings: Settings, on_start: OnStart = ignore
) -> Iterator[Record]:
    """Yield the record of every trial, in order; closing the generator ends the rest.

    Raises:
        ExecutorError: the fork server ended.
    """
    asks = [ask_of(trial, settings.target) for trial in trials]
    with closing(survey(asks, settings)) as answers:
        for trial in trials:
            on_start(trial, socket.gethostname())
            answer = next(answers)
            assert answer.report is not None, "this machine answers or the fork server is lost"
            yield outcome.record(trial, answer.report, answer.node, 1)


def ask_of(trial: Trial, target: str) -> Ask:
    """Return the call that runs a trial alone on a node."""
    return Ask(
        target=target,
        payload=trial.to_json(),
        seconds=trial.limits.seconds,
        threads=trial.threads,
        accelerated=trial.device != "cpu",
        memory_bytes=trial.limits.memory_bytes,
    )


def _gpus() -> list[str]:
    """Return the accelerators that this process may use; the first, where none is named."""
    return [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",") if name]
