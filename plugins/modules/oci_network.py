#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module oci_network: documentation and arguments; the logic is in module_utils/_resources/network.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_network
short_description: Keep a network of a container engine in a declared state
version_added: 0.1.0
description:
  - Makes a bridge network with labels of ownership, or removes it.
  - A subnet that is left out is chosen free of the engine's other networks and of everything this host routes, in all
    of its routing tables.
  - A network that was not made by this collection is never changed and never removed.
  - A network that is there and differs is reported as drift and left, unless O(recreate=on_drift) and nothing is
    attached to it.
options:
  name:
    description: Name of the network.
    type: str
    required: true
  state:
    description: Whether it is to be there.
    type: str
    choices: [present, absent]
    default: present
  subnet:
    description:
      - Its IPv4 subnet in CIDR notation, without host bits. Left out, a free one is chosen from O(pools).
    type: str
  subnet6:
    description:
      - Its IPv6 subnet. Left out, one of the unique local range is derived from the name, on a host that has IPv6.
      - V(none) makes a network without IPv6.
    type: str
  pools:
    description:
      - Where a free IPv4 subnet is looked for, in this order.
      - Where it has its default, the pools of the engine's own configuration take its place, if there are any
        (C(default-address-pools) of C(daemon.json), C(default_subnet_pools) of C(containers.conf)).
    type: list
    elements: str
    default: [192.168.128.0/17, 172.16.0.0/12, 10.0.0.0/8, 192.168.0.0/17]
  prefix:
    description: Prefix length of a chosen IPv4 subnet, from 8 to 29.
    type: int
    default: 24
  avoid:
    description:
      - Ranges in CIDR notation that are never chosen and refused when asked for, such as the pod and service subnets of
        a cluster.
    type: list
    elements: str
    default: []
  gateway:
    description: IPv4 address of the bridge itself; left out, the first of O(subnet). Needs O(subnet).
    type: str
  mtu:
    description: Maximum transmission unit in bytes. Left out, a new network gets that of the host's default route.
    type: int
  labels:
    description: Labels of your own. Keys that begin with C(nodeforge.kic.) are the collection's.
    type: dict
    default: {}
  cluster:
    description: The cluster it belongs to, kept in a label. A network of another cluster is refused.
    type: str
  recreate:
    description:
      - V(never) leaves a network that differs as it is and reports RV(drift).
      - V(on_drift) removes it and makes it again, when no container is attached to it.
      - A network C(NAME.kic-probe) with the new options, on a free subnet, is made and removed first, so that what the
        engine refuses is refused while the old network is there. Where the new one fails after that, the old one is made
        again as it was. RV(actions) names C(discard) where an interrupted run left such a probe.
      - Until the new one is there, another small network of that name keeps a record of the old one in a label. A run that was
        killed in between is finished by the next one - it makes the new network where O(recreate=on_drift) still asks for it,
        and else the old one again, with its subnets, gateways, MTU and labels.
    type: str
    choices: [never, on_drift]
    default: never
  removed_nodes:
    description:
      - Names of nodes that earlier tasks of the same run remove. In check mode they are still there, and do not count as
        users of the network. A container that was not made by this collection counts whatever its name is.
      - Outside of check mode the option has no effect.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.kic_node
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: A network for the cluster lab, on a free subnet
  nodeforge.kic.oci_network:
    name: lab
    cluster: lab
    avoid:
      - 10.244.0.0/16
      - 10.96.0.0/16
  register: lab_network

- name: A network with a subnet of your choice
  nodeforge.kic.oci_network:
    name: fixed
    subnet: 192.168.222.0/24
    subnet6: none

- name: Remove it
  nodeforge.kic.oci_network:
    name: fixed
    state: absent
"""

RETURN = r"""
network:
  description: The network as it is, or in check mode as it would be; V({}) when it is absent.
  type: dict
  returned: success
  contains:
    name: {description: Its name., type: str, returned: present}
    id: {description: The engine's id; none in check mode before it is made., type: str, returned: present}
    subnet: {description: IPv4 subnet., type: str, returned: present}
    gateway: {description: IPv4 address of the bridge., type: str, returned: present}
    subnet6: {description: IPv6 subnet or none., type: str, returned: present}
    gateway6: {description: IPv6 address of the bridge or none., type: str, returned: present}
    mtu: {description: MTU in bytes or none for the kernel's default., type: int, returned: present}
    labels: {description: All its labels., type: dict, returned: present}
    containers: {description: Names of the containers that use it., type: list, elements: str, returned: present}
  sample:
    containers: [lab-control-plane-1]
    gateway: 192.168.128.1
    gateway6: fd5e:f1a3:87d9:d1a5::1
    id: 1f9ab3c4c4aa4b3c2a2a4fd6eb6d2b2ed4a1a1d9c63d34d5c1ab8ef6b63f4c4e
    labels: {nodeforge.kic.cluster: lab, nodeforge.kic.schema: '1'}
    mtu: 1500
    name: lab
    subnet: 192.168.128.0/24
    subnet6: fd5e:f1a3:87d9:d1a5::/64
drift:
  description: What differs from what was requested and was left as it is.
  type: list
  elements: dict
  returned: success
  sample: [{asked: 1400, field: mtu, found: 1500}]
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: [create network lab]
engine:
  description: The engine that was used.
  type: str
  returned: always
  sample: podman
diagnosis:
  description: Why the task failed.
  type: dict
  returned: failure
  contains:
    id: {description: Stable name of the cause., type: str, returned: failure}
    cause: {description: What went wrong., type: str, returned: failure}
    fix: {description: What to type., type: str, returned: failure}
    output: {description: The engine's own words., type: str, returned: failure}
"""

from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network import NetworkResource, NetworkSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network_arguments import NETWORK


def main() -> None:
    """Run the module."""
    run_module(
        NETWORK,
        lambda task: task.converge(
            "network", NetworkResource(NetworkSpec.from_params(task.params), task.engine, task.removed_nodes)
        ),
        held="name:network",
    )


if __name__ == "__main__":
    main()
