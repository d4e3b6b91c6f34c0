#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kic_node_info: documentation and arguments; the logic is in module_utils/_resources/node_info.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kic_node_info
short_description: Which nodes and clusters of this collection a machine has
version_added: 0.1.0
description:
  - Finds nodes by their labels, and what belongs to their clusters.
  - Without O(name) and O(cluster) it finds all there are on the engine of this user.
options:
  name:
    description: Only the node of this name.
    type: str
  cluster:
    description: Only what belongs to this cluster.
    type: str
  ask_nodes:
    description:
      - Whether each running node is asked how its system is and when its certificates end, and each cluster's API for its nodes.
        Without it C(ready), C(systemd_state), C(failed_units), C(kubernetes), C(use) and C(certificates) of RV(nodes) say nothing,
        and nothing is run in a node.
    type: bool
    default: true
    version_added: 0.1.0
  scripts:
    description: What is run inside nodes. The action plugin gives the scripts of the collection.
    type: dict
    version_added: 0.1.0
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.info
seealso:
  - module: nodeforge.kic.kic_node
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Look at the nodes of a cluster
  nodeforge.kic.kic_node_info:
    cluster: lab
  register: lab

- name: Name those that run
  ansible.builtin.debug:
    msg: "{{ lab.nodes | selectattr('state', 'eq', 'running') | map(attribute='name') }}"

- name: Name those that Kubernetes does not call Ready, and why
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.kubernetes.why }}"
  loop: "{{ lab.nodes | selectattr('kubernetes') | rejectattr('kubernetes.ready') }}"
  loop_control:
    label: "{{ item.name }}"

- name: Say when the first certificate of each node ends
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.certificates | map(attribute='expires') | min }}"
  loop: "{{ lab.nodes | selectattr('certificates') }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
nodes:
  description:
    - The nodes, each as RV(nodeforge.kic.kic_node#module:node), whose limits are in C(memory), C(cpus) and C(pids_limit), and with
      the following.
  type: list
  elements: dict
  returned: success
  contains:
    kubernetes:
      description:
        - What the API of its cluster says of it. None where it does not run (also while it is paused), has no Kubernetes, or was not
          asked.
      type: dict
      returned: success
      contains:
        ready: {description: Whether it is Ready; none where the API does not answer., type: bool, returned: success}
        why: {description: Why it is not Ready in kubelet's words or why nobody knows; else empty., type: str, returned: success}
        version: {description: Version of its kubelet., type: str, returned: success}
        address: {description: Its address in the cluster., type: str, returned: success}
    use:
      description: What it uses, by its control groups. None where it does not run (also while it is paused) or was not asked.
      type: dict
      returned: success
      contains:
        memory:
          description: Bytes of memory without files that the kernel could drop at once, as C(kubectl top) counts them.
          type: int
          returned: success
        cpu_seconds: {description: Seconds of processor time since its start., type: float, returned: success}
        pids: {description: Tasks., type: int, returned: success}
    certificates:
      description:
        - Those of Kubernetes in the node. None where it does not run (also while it is paused) or was not asked.
      type: list
      elements: dict
      returned: success
      contains:
        name:
          description:
            - As C(kubeadm certs check-expiration) names it, with V(ca), V(front-proxy-ca) and V(etcd-ca) for authorities, and
              V(kubelet-client) and V(kubelet-server) for those of kubelet.
          type: str
          returned: success
        expires: {description: When it ends., type: str, returned: success}
  sample:
    - adaptations: []
      cluster: lab
      certificates: [{expires: '2027-11-30T02:40:47Z', name: apiserver}]
      command: []
      cgroup_parent:
      cpus: 1.5
      devices: []
      dns: []
      dns_search: []
      env: []
      extra_hosts: {}
      failed_units: []
      hostname: lab-control-plane-1
      id: 3fbc7e2f1c3c4d8f8f6d0a4c6a1f4f5d5c1b6a7e8f9a0b1c2d3e4f5a6b7c8d9e
      image: docker.io/kindest/node:v1.35.0
      image_id: 8f1b7c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b
      ip: 192.168.128.2
      ip6:
      kubernetes: {address: 192.168.128.2, ready: false, version: v1.35.4, why: 'container runtime network not ready'}
      labels: {}
      memory: 4294967296
      mounts: []
      name: lab-control-plane-1
      network: lab
      node_name: lab-control-plane-1
      pids_limit:
      privileged: auto
      publish: [{address: 127.0.0.1, host_port: 40057, port: 6443, protocol: tcp}]
      ready: true
      restart_policy: 'no'
      role: control-plane
      runtime: crun
      security_opts: []
      shm_size:
      state: running
      sysctls: {}
      systemd_state: running
      tmpfs: {}
      ulimits: {}
      use: {cpu_seconds: 21.4, memory: 913256448, pids: 214}
      volume: lab-control-plane-1
clusters:
  description: What belongs to each cluster, also where its nodes are gone. Empty with O(name).
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: Its name., type: str, returned: success}
    nodes: {description: Names of its nodes., type: list, elements: str, returned: success}
    networks: {description: Names of its networks., type: list, elements: str, returned: success}
    volumes: {description: Names of its volumes., type: list, elements: str, returned: success}
    kubeconfigs: {description: Files that hold entries of it., type: list, elements: str, returned: success}
  sample:
    - kubeconfigs: [/home/ada/.kube/config]
      name: lab
      networks: [lab]
      nodes: [lab-control-plane-1]
      volumes: [lab-control-plane-1]
snapshots:
  description: Snapshots of the clusters, the oldest first, as RV(nodeforge.kic.kic_snapshot#module:snapshot). Empty with O(name).
  type: list
  elements: dict
  returned: success
  sample: []
images:
  description: Names of node images that were built here, whatever uses them. Empty with O(name).
  type: list
  elements: str
  returned: success
  sample: ['localhost/nodeforge/kic-node:v1.35.4-a309c84e92ca']
actions:
  description: Always empty, as nothing is changed.
  type: list
  elements: str
  returned: always
  sample: []
engine:
  description: The engine that was asked.
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

from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshot import found_in
from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks
from ansible_collections.nodeforge.kic.plugins.module_utils._core.labels import SNAPSHOT
from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.access.nodes import statuses
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.built_images import find_images
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_info import find_clusters, find_nodes


def look(task: Task) -> dict[str, Any]:
    """The nodes, and what belongs to their clusters."""
    name, cluster = task.params["name"], task.params["cluster"]
    if name is not None:
        checks.name("name", name)
    if cluster is not None:
        checks.name("cluster", cluster)
    nodes = find_nodes(
        task.engine, name, cluster, looks_inside=task.params["ask_nodes"], scripts=task.params["scripts"]
    )
    clusters = find_clusters(task.engine, nodes, cluster, task.elsewhere) if name is None else []
    images = find_images(task.engine) if name is None else []
    asked = statuses(task.engine, nodes) if task.params["ask_nodes"] else {}
    nodes = [{**node, "kubernetes": asked.get(node["name"])} for node in nodes]
    saved = found_in(task.engine.volumes(SNAPSHOT), cluster) if name is None else ()
    snapshots = [item.as_dict() for item in saved]
    return {"changed": False, "nodes": nodes, "clusters": clusters, "snapshots": snapshots, "images": images}


def main() -> None:
    """Run the module."""
    run_module(
        {
            "name": {"type": "str"},
            "cluster": {"type": "str"},
            "ask_nodes": {"type": "bool", "default": True},
            "scripts": {"type": "dict", "no_log": True},
        },
        look,
        mutually_exclusive=[["name", "cluster"]],
        held="name:container,cluster:cluster",
    )


if __name__ == "__main__":
    main()
