"""Rail-optimised leaves: NIC k of `leaf_nodes` nodes hangs on a leaf of its own, the one of rail k."""

from __future__ import annotations

import numpy as np

from railgauge.cluster import Cluster
from railgauge.simulation.networks import Network, check_ports
from railgauge.simulation.trees import leaf_and_spine


def network(cluster: Cluster) -> Network:
    """A tree whose leaf b * nics + k has rail k of the b-th `leaf_nodes` nodes; see `leaf_and_spine`."""
    check_ports(cluster)
    under = cluster.fabric.leaf_nodes
    node, rail = np.divmod(np.arange(cluster.nodes * cluster.node.nics), cluster.node.nics)
    leaf = node // under * cluster.node.nics + rail
    return leaf_and_spine(cluster, position=leaf * under + node % under, under=under, rails=True)
