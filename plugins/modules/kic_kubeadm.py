#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kic_kubeadm: documentation and arguments; the logic is in module_utils/_kubernetes/bootstrap/kubeadm.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kic_kubeadm
short_description: Make a node part of a Kubernetes cluster
version_added: 0.1.0
description:
  - Makes a node of M(nodeforge.kic.kic_node) the control plane of a cluster, a worker of one, or a bare node again, with
    the C(kubeadm) that the node's image holds.
  - It works in named steps. A step whose result stands is not repeated, so an interrupted run goes on where it was, and
    a part that was broken later (CoreDNS, the pod network, a manifest) is made again alone.
  - Certificates that end within 30 days, or have less left than a third of their life, are renewed, and what does not read them again
    is restarted; also where all have ended and the API does not answer. An authority within a year of its end is a warning.
  - A failure names its step and shows kubeadm's own words.
  - A node that was just started is waited for. Waiting is no change.
options:
  node:
    description: Name of the node. It has to run.
    type: str
    required: true
  state:
    description:
      - V(initialized) makes it the control plane of O(cluster), with certificates of its own.
      - V(joined) makes it a worker of the cluster of O(control_plane).
      - V(reset) undoes both. The node stays.
    type: str
    choices: [initialized, joined, reset]
    default: initialized
  cluster:
    description: Name of the cluster, which the node has to belong to (O(nodeforge.kic.kic_node#module:cluster)).
    type: str
    required: true
  control_plane:
    description:
      - The node that O(state=joined) joins. It makes a token that lives for ten minutes at most; the token is
        handed over on standard input, is not returned, and is removed afterwards.
    type: str
  role:
    description:
      - What a node becomes that O(state=joined) joins. A control plane gets the keys of the cluster from O(control_plane) and becomes
        a member of etcd. Nothing offers the API of several control planes on this machine; the role
        P(nodeforge.kic.kic_cluster#role) does that.
    type: str
    choices: [worker, control-plane]
    default: worker
    version_added: 0.1.0
  kubernetes_version:
    description: The release that is expected, such as V(1.35.4). A node whose image holds another is refused.
    type: str
  pod_subnet:
    description: Range of the pods' addresses in CIDR notation; for dual stack IPv4 and IPv6 in this order, with a comma.
    type: str
    default: 10.244.0.0/16
  service_subnet:
    description: Range of the services' addresses, likewise. It must not overlap O(pod_subnet).
    type: str
    default: 10.96.0.0/16
  api_sans:
    description:
      - Further names and addresses for the API's certificate, next to the endpoint, the node's name and addresses,
        C(localhost), 127.0.0.1 and the address the API is published on.
    type: list
    elements: str
    default: []
  endpoint:
    description:
      - The name of the cluster's API inside its nodes; left out, C(<cluster>.kic.internal). The nodes keep it in their
        own hosts file, no name server is asked.
    type: str
  schedulable:
    description: Whether the control plane takes any pod, as it must where there is no worker.
    type: bool
    default: true
  configuration:
    description:
      - Fields of your own, merged over ours, as a mapping from kind to fields or a list of documents with a C(kind).
        Kinds are C(InitConfiguration), C(ClusterConfiguration), C(JoinConfiguration) (all v1beta4),
        C(KubeletConfiguration) and C(KubeProxyConfiguration).
      - Mappings are merged field by field, named arguments (C(extraArgs)) by name, C(certSANs) are added to ours, and
        a null removes a field. Other lists and values are replaced.
      - Arguments (C(extraArgs), C(kubeletExtraArgs)) may be a list as in v1beta4 or a mapping as in v1beta3, and documents may
        say that they are of v1beta3.
      - Refused are the node's name, another C(criSocket) and C(certificatesDir), C(controlPlaneEndpoint) and
        C(kubernetesVersion), which follow from the node.
      - It is used when the node is made. A later difference is reported as RV(drift).
    type: raw
  patches:
    description:
      - Patches of kubeadm for the manifests of the control plane and kubelet's configuration. Keys are file names as
        kubeadm reads them (C(target[suffix][+patchtype].json)), values are the patch itself or its text.
    type: dict
  labels:
    description:
      - Labels that the node has in Kubernetes, as C(nodeSelector) of a pod uses them. Of others those go that a former task set.
      - Labels of the container are O(nodeforge.kic.kic_node#module:labels).
    type: dict
    default: {}
    version_added: 0.1.0
  upgrade:
    description:
      - Whether what an older release of Kubernetes made of the node is upgraded to that of its image, as after its container was
        replaced by one of another image. Control planes come first. Without it the task ends before anything is changed.
      - M(nodeforge.kic.kic_cluster) upgrades the control planes before their containers are replaced.
    type: bool
    default: false
    version_added: 0.1.0
  wait:
    description:
      - Whether to wait until the node is Ready. Without a pod network it becomes so only when you have installed one, and only
        its registration is waited for.
    type: bool
    default: true
    version_added: 0.1.0
  pod_network:
    description:
      - V(kic) gives the node, and all other nodes of the cluster on this engine, the pod network of this collection, where they
        have its program, as the role P(nodeforge.kic.kic_cluster#role) and images of this collection bring it.
      - V(none) leaves the pod network to you.
    type: str
    choices: [kic, none]
    default: kic
    version_added: 0.1.0
  manifests:
    description:
      - What is applied to the cluster after O(state=initialized), and again when an object of it is missing or
        changed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the step, of lower-case letters, digits and C(-).
        type: str
        required: true
      content:
        description: The objects, as YAML or JSON.
        type: str
      path:
        description: A file of the node that holds them. A node without this file has nothing to apply.
        type: str
      validate:
        description:
          - Whether the objects are first checked against the descriptions of their types (C(kubectl apply --validate)).
            An API makes these for the first who asks, which takes it longer than all else about a manifest.
        type: bool
        default: true
  scripts:
    description: What is run inside nodes. The action plugin gives the scripts of the collection.
    type: dict
    version_added: 0.1.0
  timeout:
    description: Seconds for all steps together. Each has a limit of its own next to it, which grows with this one above the default.
    type: int
    default: 600
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.kic_node
  - module: nodeforge.kic.kic_kubeconfig
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Make the node a control plane
  nodeforge.kic.kic_kubeadm:
    node: lab-control-plane-1
    cluster: lab
    configuration:
      ClusterConfiguration:
        apiServer:
          extraArgs:
            - name: audit-log-maxage
              value: "7"
    manifests:
      - name: team
        content: |
          apiVersion: v1
          kind: Namespace
          metadata:
            name: team
        validate: false

- name: Add a worker
  nodeforge.kic.kic_kubeadm:
    node: lab-worker-1
    cluster: lab
    state: joined
    control_plane: lab-control-plane-1

- name: Add a control plane
  nodeforge.kic.kic_kubeadm:
    node: lab-control-plane-2
    cluster: lab
    state: joined
    role: control-plane
    control_plane: lab-control-plane-1
"""

RETURN = r"""
node_status:
  description: The node as the API knows it; V({}) in check mode before there is one and after O(state=reset).
  type: dict
  returned: success
  contains:
    name: {description: Its name., type: str, returned: success}
    ready: {description: Whether it is Ready., type: bool, returned: success}
    why: {description: Why it is not Ready in kubelet's words; else empty., type: str, returned: success}
    version: {description: Release of its kubelet., type: str, returned: success}
    address: {description: Its address., type: str, returned: success}
    roles: {description: Its roles., type: list, elements: str, returned: success}
    pod_cidrs: {description: The ranges of its pods., type: list, elements: str, returned: success}
  sample:
    address: 192.168.128.2
    name: lab-control-plane-1
    pod_cidrs: [10.244.0.0/24]
    ready: true
    roles: [control-plane]
    version: v1.35.4
    why: ''
steps:
  description: Names of the steps that were run, or in check mode would be.
  type: list
  elements: str
  returned: success
  sample: [coredns]
drift:
  description: What was requested otherwise when the node was made; kubeadm does not change it later.
  type: list
  elements: dict
  returned: success
  sample: [{asked: 10.245.0.0/16, field: pod_subnet, found: 10.244.0.0/16}]
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: [run step coredns]
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
    output: {description: The words of kubeadm or the engine., type: str, returned: failure}
"""

from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm import (
    connect_others,
    converge_kubeadm,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec


def body(task: Task) -> dict[str, Any]:
    """Bring Kubernetes on the node into its state."""
    spec = KubeadmSpec.from_params(task.params)
    outcome = converge_kubeadm(spec, task.engine, check_mode=task.check_mode)
    result = task.report("node_status", outcome)
    for warning in connect_others(spec, task.engine, outcome, check_mode=task.check_mode):
        task.warn(warning)
    return {**result, "steps": [action.name for action in outcome.plan.actions]}


def main() -> None:
    """Run the module."""
    run_module(
        {
            "node": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["initialized", "joined", "reset"], "default": "initialized"},
            "cluster": {"type": "str", "required": True},
            "control_plane": {"type": "str"},
            "role": {"type": "str", "choices": ["worker", "control-plane"], "default": "worker"},
            "kubernetes_version": {"type": "str"},
            "pod_subnet": {"type": "str", "default": "10.244.0.0/16"},
            "service_subnet": {"type": "str", "default": "10.96.0.0/16"},
            "api_sans": {"type": "list", "elements": "str", "default": []},
            "endpoint": {"type": "str"},
            "schedulable": {"type": "bool", "default": True},
            # Not logged, as there may be tokens, passwords and values of variables in them.
            "configuration": {"type": "raw", "no_log": True},
            "patches": {"type": "dict", "no_log": True},
            "manifests": {
                "type": "list",
                "no_log": True,
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "path": {"type": "str"},
                    "validate": {"type": "bool", "default": True},
                },
                "mutually_exclusive": [["content", "path"]],
                "required_one_of": [["content", "path"]],
            },
            "labels": {"type": "dict", "default": {}},
            "upgrade": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "pod_network": {"type": "str", "choices": ["kic", "none"], "default": "kic"},
            "scripts": {"type": "dict", "no_log": True},
            "timeout": {"type": "int", "default": 600},
        },
        body,
        required_if=[["state", "joined", ["control_plane"]]],
        held="node:container",
    )


if __name__ == "__main__":
    main()
