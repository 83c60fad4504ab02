"""Nodes of a Ray cluster on this machine, each in a network of its own, whose cable can be cut."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from subprocess import PIPE, STDOUT

from injector import soon

START_SECONDS = 30.0  # of a node, on a busy machine
HEAD_VARIABLES = {  # with which a head misses a node whose cable was cut in under ten seconds
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
STARTED = "will now block forever"  # what Ray says of a node that is there
START = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]


def is_possible():
    """Return whether this machine lets us make networks."""
    if not shutil.which("ip"):
        return False
    name = f"bf{os.getpid()}x"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made.returncode == 0


class Network:
    """A switch, and a namespace for each node on a cable to it; the first is the head's."""

    def __init__(self, nodes, folder):
        self._prefix = f"bf{os.getpid() % 100_000}n"
        self._folder = folder
        secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._variables = {**os.environ, **secret, **HEAD_VARIABLES}
        self._variables["PYTHONUNBUFFERED"] = "1"
        self._processes = []
        self.names = [f"{self._prefix}{number}" for number in range(nodes)]

    def __enter__(self):
        head = self.names[0]
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", head, "link", "add", "switch", "type", "bridge")
        ip("-n", head, "address", "add", "10.77.0.1/24", "dev", "switch")
        ip("-n", head, "link", "set", "switch", "up")
        for number, name in enumerate(self.names[1:], 1):
            ip(
                "-n",
                head,
                "link",
                "add",
                f"port{number}",
                "type",
                "veth",
                "peer",
                "eth0",
                "netns",
                name,
            )
            ip("-n", head, "link", "set", f"port{number}", "master", "switch", "up")
            ip("-n", name, "address", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        for number, name in enumerate(self.names):
            whose = (
                ["--head", "--port=6379", f"--temp-dir={self._folder}", "--include-dashboard=false"]
                if number == 0
                else ["--address=10.77.0.1:6379"]
            )
            words = [*START, *whose, f"--node-ip-address=10.77.0.{number + 1}", "--num-cpus=2"]
            # All have one folder of Ray's: two that start there at once may be in each other's way.
            words.append("--object-store-memory=80000000")
            node = self.run(name, words, stdout=PIPE, stderr=STDOUT)
            soon(lambda: STARTED in node.stdout.readline(), START_SECONDS)  # noqa: B023
        return self

    def __exit__(self, *_):
        for name in self.names:
            for pid in self.pids(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()
            if process.stdout:
                process.stdout.close()
        for name in self.names:
            ip("netns", "del", name)

    def run(self, name, words, **more):
        """Start a process on a node."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", name, *words],
            env=self._variables,
            text=True,
            **{**dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL), **more},
        )
        self._processes.append(process)
        return process

    def pids(self, name):
        """Return what runs on a node."""
        return [int(word) for word in ip("netns", "pids", name).split()]

    def cut(self, number):
        """Take a node's cable out of the switch."""
        ip("-n", self.names[0], "link", "set", f"port{number}", "down")


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout
