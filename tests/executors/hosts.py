"""Several nodes of a Ray cluster on this machine, in a process of its own.

It prints the address, then waits: a line removes the last node, the end of input ends it all.
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # on both sides, or 127.0.0.1 is replaced
END_SECONDS = 30.0
H100 = {"labels": {"ray.io/accelerator-type": "H100"}}
A100 = {"resources": {"accelerator_type:A100": 1}}


@contextmanager
def hosts(layout):
    """Run nodes, each given by Ray's own words for it; yield their address and their process."""
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(layout)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            **LOOPBACK,
            "PYTHONPATH": str(Path(__file__).parent),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LOOPBACK.items():
            patch.setenv(name, value)
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.communicate(timeout=END_SECONDS)


def main(layout):
    from ray.cluster_utils import Cluster

    head, *others = layout
    cluster = Cluster(initialize_head=True, head_node_args={**head, "include_dashboard": False})
    nodes = [cluster.add_node(**each) for each in others]
    print(cluster.address, flush=True)
    if sys.stdin.readline():
        cluster.remove_node(nodes[-1], allow_graceful=False)
        sys.stdin.readline()
    cluster.shutdown()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
