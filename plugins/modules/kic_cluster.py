#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kic_cluster: documentation and arguments; the logic is in module_utils/_cluster/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kic_cluster
short_description: Keep a Kubernetes cluster, whose nodes are containers, in a declared state
version_added: 0.1.0
description:
  - Creates a network, nodes with a volume each, and Kubernetes on them by kubeadm. Nodes are created, booted and joined at the
    same time where they do not need each other.
  - The role P(nodeforge.kic.kic_cluster#role) runs it. Errors name the role's variables, which are these options with
    C(kic_cluster_) before them.
  - A second run changes nothing, and one that was interrupted is continued by the next.
  - Certificates are renewed before they end, and where all have ended, as M(nodeforge.kic.kic_kubeadm) says.
  - Everything is checked before anything is changed. What a run created is removed where it fails before a node's first start;
    after that all is kept.
  - It is an action plugin as well, which reads on the controller what the nodes get as files, checks the declaration there, and
    merges the kubeconfig.
options:
  name:
    description: Name of the cluster, and of its network. Its nodes are C(NAME-control-plane-1), C(NAME-worker-1) and so on.
    type: str
    required: true
  state:
    description:
      - V(started) has all nodes running and Ready.
      - V(present) creates what is missing and leaves nodes that are there as they are, running or not.
      - V(stopped) stops the nodes, the workers first.
      - V(restarted) does what V(started) does, and stops the nodes that run before, each time. The control planes are the last
        that stop and the first that start.
      - V(restored) brings the data of all nodes back to O(snapshot), each time, and starts them. What was written since is lost. Nodes
        that run are stopped before.
      - V(paused) freezes the nodes, the workers first; they keep their memory and take no processor time. V(started) resumes them,
        V(stopped) and V(absent) need no start before. A node that is not there or does not run is refused and nothing is changed,
        since it holds nothing that a pause would keep. A paused API does not answer. A boot of the machine, or a restart of
        docker's daemon, ends a pause. On control groups of version 1 only root can pause.
      - V(absent) removes nodes, volumes with their data, and the network, all found by their labels.
    type: str
    choices: [present, started, stopped, restarted, restored, paused, absent]
    default: started
  image:
    description: The node image, which has to be in the engine's store. Needed for V(present), V(started), V(restarted) and V(restored).
    type: str
  control_planes:
    description:
      - How many nodes run the control plane, V(1), V(3) or V(5). Left out, there are as many as there are, in a new cluster one.
      - With several, the container C(NAME-load-balancer) offers their APIs on the machine.
      - Of a cluster that is there the number can be changed; control planes that are too many go only with O(prune).
    type: int
  load_balancer_image:
    description: The image of the load balancer, which has to have HAProxy. Left out, it is O(image).
    type: str
    version_added: 0.1.0
  workers:
    description:
      - How many nodes only run pods. Without any, the control planes run them.
      - Left out, there are as many as there are, in a new cluster none.
    type: int
  snapshot:
    description:
      - A snapshot that M(nodeforge.kic.kic_snapshot) has taken, from which a new cluster gets its data. Of a cluster that is there it
        says nothing, unless O(state=restored).
      - V(NAME) is one of the cluster itself, which comes back as it was; V(CLUSTER/NAME) one of another cluster, of which a clone is
        created with the same names of nodes in Kubernetes and with containers, addresses, authorities and keys of its own.
    type: str
    version_added: 0.1.0
  upgrade:
    description:
      - Whether a cluster that is there is brought to the release of Kubernetes that O(image) holds. Without it an image with another
        release is drift, and no node is created from it.
      - The images of the new release and its kubeadm are first brought into the nodes that run. C(kubeadm upgrade) runs in the
        control planes, one after the other, and then their containers are replaced; then those of the workers. Volumes, addresses
        and ports stay, and so does everything that was stored. What else differs from the declaration takes effect with the new
        containers. No kubelet is ever newer than an API server.
      - Each node is cordoned and drained before, within O(drain_timeout), where there is another one. Pods that no controller creates
        again end the task before anything is changed.
      - A run that was interrupted is continued by the next. Kubernetes does not skip a minor release, and does not go back.
    type: bool
    default: false
    version_added: 0.1.0
  prune:
    description:
      - Whether nodes that are not declared are removed, by O(workers) and O(control_planes). They are cordoned, drained, and removed
        with their container and volume, when all nodes that are declared are there. The API forgets them, and so it does nodes
        whose container was removed by hand. Control planes leave etcd one after the other; as long as etcd has no majority for it,
        the task ends before anything is changed.
      - A node that cannot be drained within O(drain_timeout) ends the task with what keeps it, such as a PodDisruptionBudget, and
        takes pods again. One that does not run is removed without a drain.
      - Pods that no controller creates again, and persistent volumes with data on such a node alone, end the task before anything
        is changed.
    type: bool
    default: false
    version_added: 0.1.0
  prune_data:
    description: Whether O(prune) also removes a node that has persistent volumes of its own, with their data.
    type: bool
    default: false
    version_added: 0.1.0
  drain_timeout:
    description: Seconds that the pods of a node that is removed may take to leave it.
    type: int
    default: 300
    version_added: 0.1.0
  kubernetes_version:
    description: The release that is expected, such as V(1.35.4). An image that holds another is refused.
    type: str
  pod_subnet:
    description: Range of the pods' addresses in CIDR notation; for dual stack IPv4 and IPv6 in this order, with a comma.
    type: str
    default: 10.244.0.0/16
  service_subnet:
    description: Range of the services' addresses, likewise.
    type: str
    default: 10.96.0.0/16
  pod_network:
    description: V(kic) gives pods routes between the nodes. V(none) installs no pod network, and does not wait for Ready.
    type: str
    choices: [kic, none]
    default: kic
  network:
    description: The options C(subnet), C(subnet6), C(gateway), C(mtu) and C(pools) of M(nodeforge.kic.oci_network).
    type: dict
    default: {}
  node:
    description: Options of M(nodeforge.kic.kic_node) for all nodes.
    type: dict
    default: {}
  control_plane_node:
    description:
      - Options as those of O(node) for the control planes alone. An option here replaces the one there; mappings, such as C(env), are
        merged.
    type: dict
    default: {}
    version_added: 0.1.0
  worker_node:
    description:
      - Likewise for the workers. Kubernetes needs less of their memory than the 1.7 GB of a control plane. Ports of C(publish) lead
        to each worker; with C(host_port) there can be one.
    type: dict
    default: {}
    version_added: 0.1.0
  nodes:
    description:
      - The nodes by name in the place of O(control_planes) and O(workers). Each has a C(name), which is that of its container too,
        and a C(role), V(control-plane) of one, three or five, and else V(worker). Everything else are options as those of O(node) for this node alone, over
        those of its role, but C(labels) and C(taints), which are those in Kubernetes; a taint is written like
        V(dedicated=db:NoSchedule).
      - At least one control plane keeps its name; those of a cluster that was made by number are C(NAME-control-plane-1) and so on.
        C(NAME-load-balancer) is not the name of a node.
    type: list
    elements: dict
    version_added: 0.1.0
  control_plane_labels:
    description: Labels in Kubernetes of the control planes' nodes. What is not declared any more goes, labels of others stay.
    type: dict
    default: {}
  worker_labels:
    description: Labels in Kubernetes of each worker's node, likewise.
    type: dict
    default: {}
  api_address:
    description: Address of the machine on which the API is published.
    type: str
    default: 127.0.0.1
  api_port:
    description: Port of the machine on which the API is published, with several control planes by their load balancer; one that a
      control plane has already stays with it, and another is chosen. Left out, a free one is chosen once.
    type: int
  api_sans:
    description: Further names and addresses for the API's certificate.
    type: list
    elements: str
    default: []
  configuration:
    description: Fields of your own in kubeadm's configuration, as O(nodeforge.kic.kic_kubeadm#module:configuration).
    type: raw
  patches:
    description: Patches of kubeadm, as O(nodeforge.kic.kic_kubeadm#module:patches).
    type: dict
  images:
    description:
      - Images that all nodes have to have, as O(nodeforge.kic.kic_node_image#module:images). They are loaded while Kubernetes is
        made, also into a node that joins later.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  timeout:
    description: Seconds for all steps of Kubernetes on one node together.
    type: int
    default: 600
  boot:
    description:
      - Whether a cluster that is to run starts again when the machine boots. With O(state=stopped) it stays stopped, and starts
        again at boot once its state is another one.
      - On podman a unit of systemd starts the nodes, C(nodeforge.kic-NAME.service), of the machine's systemd or of the user's. It
        stops them when the machine shuts down. A user's systemd runs from boot on if the user lingers, which the role
        P(nodeforge.kic.kic_host#role) sees to. Without systemd a run that creates or starts nodes warns that a boot does not.
      - On docker the nodes get the restart policy V(unless-stopped). A C(restart_policy) in O(node) is left as it is.
      - V(false) removes the unit, and restores the policy that the nodes were created with.
    type: bool
    default: true
    version_added: 0.1.0
  kubeconfig:
    description:
      - The file into which access for the user is written, as M(nodeforge.kic.kic_kubeconfig) does. That it can take the cluster's
        entries is checked before a cluster is created. V({}) is the user's own. Left out, none is written.
      - For O(state=started), O(state=restarted) and O(state=present).
    type: dict
    version_added: 0.1.0
    suboptions:
      path:
        description: As O(nodeforge.kic.kic_kubeconfig#module:path).
        type: str
      owner:
        description: As O(nodeforge.kic.kic_kubeconfig#module:owner).
        type: str
      context:
        description: As O(nodeforge.kic.kic_kubeconfig#module:context).
        type: str
      search:
        description: The list of the environment variable E(KUBECONFIG). Set by the action plugin, of no use in a playbook.
        type: str
      seen:
        description:
          - SHA-256 of the text that can take the cluster's entries. Set by the action plugin, of no use in a playbook.
        type: str
  scripts:
    description: What is run inside nodes. The action plugin gives the scripts of the collection.
    type: dict
  node_files:
    description: Files that each node gets before its first start. The action plugin gives those of the collection.
    type: list
    elements: dict
    suboptions:
      path:
        description: Absolute path inside.
        type: str
        required: true
      content:
        description: The text.
        type: str
        required: true
      mode:
        description: Its mode, as four octal digits.
        type: str
        default: '0644'
  validate_only:
    description:
      - Whether to check the declaration alone, on the controller. All of its problems are in one message, and nothing of the
        managed machine is asked or changed.
    type: bool
    default: false
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.kic_kubeconfig
  - module: nodeforge.kic.kic_node_info
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: A cluster with two workers
  nodeforge.kic.kic_cluster:
    name: lab
    image: docker.io/kindest/node:v1.35.0
    workers: 2

- name: A cluster, and access for the user of the connection
  nodeforge.kic.kic_cluster:
    name: lab
    image: docker.io/kindest/node:v1.35.0
    kubeconfig: {}

- name: A cluster whose workers differ
  nodeforge.kic.kic_cluster:
    name: lab
    image: docker.io/kindest/node:v1.35.0
    nodes:
      - {name: lab-control-plane-1, role: control-plane, memory: 3g}
      - {name: lab-db, memory: 4g, labels: {tier: db}}
      - {name: lab-small, memory: 512m}

- name: One worker less
  nodeforge.kic.kic_cluster:
    name: lab
    image: docker.io/kindest/node:v1.35.0
    workers: 1
    prune: true

- name: Another release of Kubernetes
  nodeforge.kic.kic_cluster:
    name: lab
    image: localhost/nodeforge/kic-node:v1.35.4
    upgrade: true

- name: Freeze it over night
  nodeforge.kic.kic_cluster:
    name: lab
    state: paused

- name: Remove it with its data
  nodeforge.kic.kic_cluster:
    name: lab
    state: absent
"""

RETURN = r"""
cluster:
  description: The cluster as it is, or in check mode as it would be; V({}) when it is absent.
  type: dict
  returned: success
  contains:
    name: {description: Its name., type: str, returned: present}
    control_plane: {description: The node by which its API is asked., type: str, returned: present}
    control_planes:
      description: Names of all its control planes, those that are not declared and stay included.
      type: list
      elements: str
      returned: present
    load_balancer:
      description: The container that offers the API on the machine as RV(nodeforge.kic.kic_node#module:node); V({}) where its only
        control plane does.
      type: dict
      returned: present
    network:
      description: Its network as RV(nodeforge.kic.oci_network#module:network); empty where it was not inspected.
      type: dict
      returned: present
    nodes:
      description: Its nodes as RV(nodeforge.kic.kic_node#module:node), the control planes first.
      type: list
      elements: dict
      returned: present
    statuses:
      description: What the API says of each node as RV(nodeforge.kic.kic_kubeadm#module:node_status).
      type: list
      elements: dict
      returned: present
    created:
      description: Names of the nodes that O(state) brings into the cluster, those that were part of it already included.
      type: list
      elements: str
      returned: present
    surplus:
      description: Names of nodes that are not declared and that stay, as without O(prune).
      type: list
      elements: str
      returned: present
    pod_network: {description: Whether the pod network is the collection's., type: bool, returned: present}
    renewed:
      description: Whether the certificate of its administrator is renewed, which kubeconfigs hold.
      type: bool
      returned: present
  sample:
    name: lab
    control_plane: lab-control-plane-1
    control_planes: [lab-control-plane-1]
    load_balancer: {}
    network: {}
    nodes: []
    statuses: []
    created: [lab-control-plane-1]
    surplus: []
    pod_network: true
    renewed: false
kubeconfig:
  description: What was written for the user; null without O(kubeconfig) and where no node belongs to the cluster.
  type: dict
  returned: success
  contains:
    path: {description: The file., type: str, returned: written}
    context: {description: Name that the context has in it., type: str, returned: written}
    needs_sudo: {description: As RV(nodeforge.kic.kic_kubeconfig#module:needs_sudo)., type: bool, returned: written}
  sample: {context: kic-lab, needs_sudo: false, path: /home/ada/.kube/config}
drift:
  description: What differs from what was requested and was left as it is.
  type: list
  elements: dict
  returned: success
  sample: [{of: node lab-worker-1, asked: worker, field: role, found: control-plane}]
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: [create network lab, create volume lab-control-plane-1, create node lab-control-plane-1]
engine:
  description: The engine that was used.
  type: str
  returned: always
  sample: podman
engine_facts:
  description: What the engine says of itself, for later tasks; not with O(validate_only).
  type: dict
  returned: success
  sample:
    address_pools: []
    apparmor: false
    architecture: amd64
    cgroup_controllers: [cpuset, cpu, memory, pids]
    cgroup_manager: systemd
    cgroup_version: 2
    cpus: 2
    memory: 25276510208
    name: podman
    network_backend: netavark
    rootless: false
    runtime: crun
    runtimes: [crun]
    selinux: false
    storage_driver: overlay
    storage_filesystem: extfs
    storage_path: /var/lib/containers/storage
    userns_remap: false
    version: 5.4.2
diagnosis:
  description: Why the task failed.
  type: dict
  returned: failure
  contains:
    id: {description: Stable name of the cause., type: str, returned: failure}
    cause: {description: What went wrong., type: str, returned: failure}
    fix: {description: What to type., type: str, returned: failure}
    output: {description: The output of the engine or of the node., type: str, returned: failure}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.arguments import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import NOTHING
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.outcome import ClusterOutcome
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.restoring import Source, find_source
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.run import ClusterRun
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import ClusterSpec, validate
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.there import find_there
from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Container
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import (
    cluster_nodes,
    is_control_plane,
    load_balancer,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_entry as entry
from ansible_collections.nodeforge.kic.plugins.module_utils._module import completed
from ansible_collections.nodeforge.kic.plugins.module_utils._state.progress import reported

_EMPTY: Mapping[str, Any] = {"changed": False, "actions": [], "drift": [], "cluster": {}, "kubeconfig": None}


def body(task: Task) -> dict[str, Any]:
    """Bring the cluster into its state."""
    params = task.params
    if params["validate_only"]:
        validate(params, completed)
        return dict(_EMPTY)
    if task.check_mode:
        # It waits for nothing, and leaves no directory on a machine that has none.
        return _in_state(task, params, ClusterRun(task.engine, task.runner, task.check_mode))
    with reported() as report:
        return _in_state(task, params, ClusterRun(task.engine, task.runner, task.check_mode, report))


def _in_state(task: Task, params: Mapping[str, Any], run: ClusterRun) -> dict[str, Any]:
    if params["state"] in ("absent", "stopped", "paused"):
        name = checks.host_name("kic_cluster_name", params["name"])
        if params["state"] == "absent":
            return _result(task, run.absent(name, task.elsewhere), {})
        there = task.seen or cluster_nodes(task.engine, name)
        if params["state"] == "paused":
            return _result(task, run.paused(name, there), {})
        return _result(task, run.stopped(name, there, boot=params["boot"]), {})
    facts = task.engine.info.as_dict()
    spec = ClusterSpec.from_params(params, facts, completed)
    there = task.seen if task.seen is not None else cluster_nodes(task.engine, spec.name)
    source = find_source(task.engine, spec.name, spec.state, spec.snapshot, there, check_mode=task.check_mode)
    if there or source is not None:
        found = find_there(task.engine, there, len(spec.planes), source.there if source is not None else NOTHING)
        spec = ClusterSpec.from_params(params, facts, completed, found)
    return _present(task, spec, there, run, source)


def _present(
    task: Task, spec: ClusterSpec, there: Sequence[Container], run: ClusterRun, source: Source | None
) -> dict[str, Any]:
    wanted = task.params["kubeconfig"]
    found = (
        entry.look(task.engine, spec.name, entry.Wanted.named_in(wanted), to_write=True) if wanted is not None else {}
    )
    for file in found.get("files", ()):
        if file["text"] is not None and not file["known"] and file["sum"] != wanted["seen"]:
            # Whether it can take the entries is seen where there is a YAML parser, and before there is a cluster.
            return {**_EMPTY, "engine_facts": task.engine.info.as_dict(), "access": found}
    outcome = run.present(spec, there, source)
    result = _result(task, outcome, outcome.describe(spec))
    if wanted is None or not result["cluster"]["created"]:
        return result
    nodes = cluster_nodes(task.engine, spec.name) if outcome.actions and not task.check_mode else there
    return {**result, "access": {**found, **_access(task, spec, nodes, found["files"][0])}}


def _access(task: Task, spec: ClusterSpec, nodes: Sequence[Container], file: Mapping[str, Any]) -> dict[str, Any]:
    """What the cluster gives out, in check mode as far as it is there, and whether the file is to be recorded."""
    publisher = load_balancer(nodes) if spec.balancer is not None else None
    given: dict[str, str] = {}
    # Each control plane has an administrator of its own: that of the first one, so that it stays the same.
    for node in sorted(filter(is_control_plane, nodes), key=lambda item: (item.name not in spec.planes, item.name)):
        given = given or entry.access(task.engine, node, publisher, may_lack=task.check_mode or len(spec.planes) > 1)
    if not given and not task.check_mode:
        raise failure("control_plane_missing", cluster=spec.name)
    if given and spec.balancer is not None and publisher is None:
        # Of a forecast: a port that is not requested is chosen when the load balancer is created.
        api = spec.balancer.publish[0]
        given["server"] = f"https://{api.address}:{api.host_port or 0}"
    return {**given, "unrecorded": not task.check_mode and file["text"] is not None and not file["known"]}


def _result(task: Task, outcome: ClusterOutcome, cluster: dict[str, Any]) -> dict[str, Any]:
    for text in outcome.warnings:
        task.warn(text)
    result: dict[str, Any] = {
        "changed": bool(outcome.actions),
        "actions": list(outcome.actions),
        "drift": outcome.drift,
        "cluster": cluster,
        "kubeconfig": None,
        "engine_facts": task.engine.info.as_dict(),
    }
    if task.module._diff:
        result["diff"] = outcome.diff
    return result


def main() -> None:
    """Run the module."""
    run_module(
        CLUSTER,
        body,
        held="name:cluster",
    )


if __name__ == "__main__":
    main()
