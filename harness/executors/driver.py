"""The process that drives Ray, apart from the command's own.

Ray ends its driver from C++ when the head of the cluster is lost, and prints what it likes; here
the one can be lived through and the other kept off the screen. `ray.Driver` starts it as `python
-m harness.executors.driver SOCKET`, and it stops when the other end of the socket is closed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from harness.executors.client import Launch
from harness.executors.protocol import Channel
from harness.executors.schedule import Schedule
from harness.executors.settings import ExecutorError, NodesLost, Settings, Setup
from harness.executors.work import Work

STOP_SECONDS = 10.0  # for an orderly end


def main(channel: Channel) -> None:
    """Run the works that the first messages describe, and tell what becomes of them."""
    setup = _receive_setup(channel)
    local = setup.settings.address is None
    # A fork server's imports take as long as Ray's start: both go on at once.
    launch = None
    if local and setup.works:
        launch = Launch(setup.settings.module, setup.folder, setup.temporary)
    messages = (channel.receive() for _ in range(setup.works))
    works = [Work.from_json(message) for message in messages if message is not None]
    stop = threading.Event()
    threading.Thread(target=_await_stop, args=(channel, stop, setup), daemon=True).start()
    try:
        _run(setup, works, launch, channel, stop)
        with contextlib.suppress(OSError):  # who asked has heard enough
            channel.send({"event": "end"})
    except ExecutorError as error:
        if local and isinstance(error, NodesLost):
            sys.exit(str(error))  # another Ray, by another driver, has nodes again
        channel.send({"event": "error", "why": str(error), "kind": type(error).__name__})
    finally:
        if launch is not None:
            launch.close()
        if stop.is_set():  # whoever made the folder may be gone
            shutil.rmtree(setup.temporary, ignore_errors=True)


def _receive_setup(channel: Channel) -> Setup:
    message: Any = channel.receive()
    return Setup(**{**message, "settings": Settings(**message["settings"])})


def _await_stop(channel: Channel, stop: threading.Event, setup: Setup) -> None:
    channel.receive()  # nothing more is ever sent: this is the end
    stop.set()
    time.sleep(STOP_SECONDS)
    shutil.rmtree(setup.temporary, ignore_errors=True)
    os._exit(1)  # Ray cannot be interrupted while it looks for a cluster; its processes go too


def _run(
    setup: Setup, works: list[Work], launch: Launch | None, channel: Channel, stop: threading.Event
) -> None:
    from harness.executors.cluster import Cluster  # imports Ray, once the fork server is on its way
    from harness.executors.fleet import Fleet
    from harness.executors.survey import Survey

    # Ray lets everyone write to its folder; the one around it is this user's alone.
    cluster = Cluster(
        setup.settings.address, str(Path(setup.temporary) / "ray"), setup.settings.ray_output
    )
    try:
        site = {"devices": cluster.devices(), "open": cluster.open()}
        channel.send({"event": "ready", **site})
        if setup.parcel:
            cluster.ship(Path(setup.parcel).read_bytes())
        if setup.asks:
            Survey(cluster, setup, channel.send).run(stop)
            return
        fleet = Fleet(cluster, Schedule(works), setup, channel.send)
        try:
            fleet.enlist(None if launch is None else launch.path)
            fleet.run(stop)
        finally:
            fleet.dismiss()
    finally:
        cluster.close()


if __name__ == "__main__":
    main(Channel(socket.socket(fileno=int(sys.argv[1]))))
