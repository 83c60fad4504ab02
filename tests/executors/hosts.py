"""Several nodes of a Ray cluster on this machine, told what to do line by line.

Prints the address, then waits: a line removes the last plain node, the end of input ends it all.
"""

import sys

from ray.cluster_utils import Cluster

if __name__ == "__main__":
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=2, num_gpus=1, labels={"ray.io/accelerator-type": "H100"})
    cluster.add_node(num_cpus=1, num_gpus=1, resources={"accelerator_type:A100": 1})
    plain = cluster.add_node(num_cpus=2)
    print(cluster.address, flush=True)
    if sys.stdin.readline():
        cluster.remove_node(plain, allow_graceful=False)
        sys.stdin.readline()
    cluster.shutdown()
