"""A fat tree: all NICs of `leaf_nodes` nodes hang on one leaf."""

from __future__ import annotations

import numpy as np

from railgauge.cluster import Cluster
from railgauge.simulation.networks import Network, check_ports
from railgauge.simulation.trees import leaf_and_spine


def network(cluster: Cluster) -> Network:
    """A tree whose leaves take ports in their order; see `leaf_and_spine`."""
    check_ports(cluster)
    ports = cluster.nodes * cluster.node.nics
    under = cluster.fabric.leaf_nodes * cluster.node.nics
    return leaf_and_spine(cluster, position=np.arange(ports), under=under, rails=False)
