# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of a clone, whose data is that of another cluster: what makes them part of this one in place of kubeadm.

The data has all that a join would bring, but for credentials and addresses. So a worker needs the key of the authority alone, and is
there when the API is; and no pod waits for its network.
"""

from __future__ import annotations

import json

from ..._node.scripts import script
from ..network import kic, ranges
from .credentials import kubelet_credentials
from .kubeadm_plan import Observed
from .seam import LIMITS, KubeadmSeam

SETTINGS = "/var/lib/kubelet/config.yaml"
"""The settings of a kubelet, which the data of a worker has."""


def take_over_data(observed: Observed, seam: KubeadmSeam) -> None:
    """Make the data of etcd that of a new cluster, whose only member is this node."""
    command = script(seam.spec.scripts, "etcd-adopt", seam.spec.registered, observed.addresses[0])
    seam.run("etcd", command)


def move_pod_network(observed: Observed, seam: KubeadmSeam) -> None:
    """Give the node the pod network that it has in the data, with the addresses that its nodes have here."""
    spec = seam.spec
    own = ranges.of_node(observed.addresses, spec.shape.pod_subnet)
    nodes = {**seam.pod_network.addresses(), spec.registered: list(observed.addresses)}
    given = {"own": own[0] if own else "", "nodes": nodes}
    seam.run("pod-network", script(spec.scripts, "network-move", kic.PROGRAM), json.dumps(given).encode())


def join_by_data(observed: Observed, seam: KubeadmSeam) -> None:
    """Make a node with the data of a worker a member of the cluster. Its API need not be there yet."""
    if seam.spec.pod_network:
        move_pod_network(observed, seam)
    credentials = kubelet_credentials(observed, seam, "join", seconds=int(LIMITS["kubeadm"]))
    addresses = ",".join(ranges.of_node(observed.addresses, seam.spec.shape.pod_subnet))
    seam.run("join", script(seam.spec.scripts, "worker-adopt", addresses), credentials.encode())
