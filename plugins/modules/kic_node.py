#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kic_node: documentation and arguments; the logic is in module_utils/_resources/node.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kic_node
short_description: Keep a node, a container that runs systemd, in a declared state
version_added: 0.1.0
description:
  - Makes a container from any image with systemd, starts it, and waits until its systemd says that the system is up.
  - It knows nothing of Kubernetes and makes neither network nor volume.
  - What it made is read back from the kernel. A node that has other limits, mounts or addresses than were requested
    fails the task, and the message says which.
  - Options are compared with what the node was made with. Limits are changed in place where the engine can; all else is
    reported as RV(drift) and left, unless O(recreate=on_drift).
  - A node that was not made by this collection is never changed and never removed.
options:
  name:
    description: Name of the node, which is its container's name. Where it is not a host name too, one is made of it.
    type: str
    required: true
  state:
    description:
      - V(present) makes it and leaves it as it is, running or not.
      - V(started) makes it and has it running, V(stopped) has it not running.
      - V(restarted) stops and starts it, each time.
      - V(paused) freezes its processes, which keep their memory and take no processor time; V(started) resumes them. A node that is
        not there or does not run is refused, since it holds nothing that a pause would keep. A boot of the machine, or a restart of
        docker's daemon, ends a pause. On control groups of version 1 only root can pause.
      - V(absent) removes the container. Its volume stays.
      - Without O(image) only the state of a node that is there changes, and the other options say nothing.
    type: str
    choices: [present, started, stopped, restarted, paused, absent]
    default: started
  cluster:
    description: The cluster it belongs to, kept in a label. A node of another cluster is refused.
    type: str
  role:
    description: What it is in its cluster, such as V(control-plane) or V(worker); kept in a label.
    type: str
  image:
    description: The image, which has to be in the engine's store. Needed where a node is made. It may end in a digest.
    type: str
  network:
    description: The network to join; it need not be ours. Left out, it is the engine's own default.
    type: str
  ip:
    description:
      - IPv4 address on O(network). Left out, a free one is chosen, and kept over stop, start and replacement.
    type: str
  ip6:
    description: IPv6 address on O(network), likewise, where the network has IPv6.
    type: str
  hostname:
    description: Host name inside, which may have a domain, up to 64 characters; left out, it is made of O(name).
    type: str
  volume:
    description: The volume at C(/var); left out, the one called like the node. V(none) is a node without one.
    type: str
  mounts:
    description: Files and directories of the machine inside the node.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: Absolute path on the machine, which has to be there.
        type: path
        required: true
      target:
        description: Absolute path inside.
        type: str
        required: true
      read_only:
        description: Whether the node may only read it.
        type: bool
        default: false
      propagation:
        description: How mounts made below it later reach the other side.
        type: str
        choices: [rprivate, private, rshared, shared, rslave, slave]
        default: rprivate
      relabel:
        description: On a machine with SELinux, a label for all containers or for this one alone.
        type: str
        choices: [none, shared, private]
        default: none
  tmpfs:
    description: File systems in memory, options by path. C(/run) and C(/tmp) are there in any case.
    type: dict
    default: {}
  publish:
    description: Ports of the node that lead from the machine.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: Port of the node.
        type: int
        required: true
      protocol:
        description: Its protocol.
        type: str
        choices: [tcp, udp, sctp]
        default: tcp
      address:
        description: Address of the machine.
        type: str
        default: 127.0.0.1
      host_port:
        description: Port of the machine. Left out, a free one is chosen, and kept over stop, start and replacement.
        type: int
  devices:
    description: Devices of the machine inside the node, as C(/dev/x), C(/dev/x:/dev/y) or C(/dev/x:/dev/y:rw).
    type: list
    elements: str
    default: []
  memory:
    description: Limit of memory, such as V(4g) or V(512MiB); units are powers of 1024. Swap is not given on top.
    type: str
  cpus:
    description: Limit of processor time, in processors.
    type: float
  pids_limit:
    description: Limit of processes. Left out, a rootful node has none and a rootless one 32768.
    type: int
  ulimits:
    description:
      - Limits of each process, V(soft:hard) or one number for both, by name. Left out, C(nofile) and C(nproc) are what
        a machine's systemd gives, or the most that this machine can.
      - V(-1) or V(unlimited) stands for a process without the limit, for example C(memlock). C(nofile) and C(nproc) always
        have one.
    type: dict
    default: {}
  sysctls:
    description:
      - Kernel parameters of the node's namespaces, such as C(net.core.somaxconn) or C(kernel.shmmax). Those of the whole machine, such as
        C(vm.max_map_count), are refused; P(nodeforge.kic.kic_host#role) sets them.
    type: dict
    default: {}
  security_opts:
    description: Options for the engine's C(--security-opt).
    type: list
    elements: str
    default: []
  dns:
    description: Name servers in place of the engine's own. On a podman network they are asked by podman's own server.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  dns_search:
    description: Domains in which short names are looked up. V(.) alone is none.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  extra_hosts:
    description: Further lines of C(/etc/hosts), addresses by host name.
    type: dict
    default: {}
    version_added: 0.1.0
  shm_size:
    description: Size of C(/dev/shm), such as V(256m); units are powers of 1024. Left out, it is the engine's own, 64 MiB.
    type: str
    version_added: 0.1.0
  cgroup_parent:
    description:
      - The control group in which the engine creates that of the node, such as V(/lab). Where systemd manages control groups it
        is the name of a slice, such as V(lab.slice).
    type: str
    version_added: 0.1.0
  env:
    description:
      - Environment of its first process. Names are kept in a label; values are compared with the container's own and
        never shown in a diff. Who can ask the engine can read them.
      - A node that has proxies, by O(env), by the environment of the task (podman) or by the client's C(config.json) (docker),
        gets C(NO_PROXY) and C(no_proxy) with itself, the ranges of its network and O(no_proxy) added to what they hold.
    type: dict
    default: {}
  no_proxy:
    description:
      - Hosts, domains, addresses and ranges that the node reaches without a proxy. They are used where it has proxies,
        and when it is created.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  labels:
    description: Labels of your own. Keys that begin with C(nodeforge.kic.) are the collection's.
    type: dict
    default: {}
  files:
    description:
      - Files that it gets before its first start. They are no part of the comparison; a node that is there keeps its own.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path inside. It must not lie in O(volume) or in a file system in memory.
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
  privileged:
    description:
      - Whether it gets all capabilities and devices. V(auto) is V(true) where the machine can give them.
      - Nodes that run containers of their own need it.
    type: str
    choices: [auto, 'true', 'false']
    default: auto
  runtime:
    description: The OCI runtime. Left out, the engine's own, but runc in place of crun on cgroup version 1.
    type: str
  command:
    description: Arguments in place of the image's own.
    type: list
    elements: str
    default: []
  restart_policy:
    description: When the engine starts it again by itself.
    type: str
    choices: ['no', always, on-failure, unless-stopped]
    default: 'no'
  recreate:
    description:
      - V(never) leaves a node that differs as it is and reports RV(drift).
      - V(on_drift) replaces it by a new container with the address and ports it had. Its volume stays.
      - The old container is renamed (C(NAME.kic-replaced) or C(NAME.kic-replaced-running)) and stopped, and removed only
        when the new one is up. Where that fails it becomes the node again, and the failure says so. A run that was
        interrupted in between is finished, or undone, by the next run on this node; RV(actions) then names C(discard) or
        C(restore).
    type: str
    choices: [never, on_drift]
    default: never
  wait:
    description: Whether to wait until its systemd is up. A node that ends on the way fails the task with its last lines.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most.
    type: int
    default: 120
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.kic_node_info
  - module: nodeforge.kic.oci_network
  - module: nodeforge.kic.oci_volume
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: A machine for tests, with systemd and nothing else
  nodeforge.kic.kic_node:
    name: sandbox
    image: localhost/debian-systemd:13
    volume: none

- name: A node with limits, a mount and a published port
  nodeforge.kic.kic_node:
    name: lab-worker-1
    cluster: lab
    role: worker
    image: docker.io/kindest/node:v1.35.0
    network: lab
    memory: 4g
    cpus: 1.5
    mounts:
      - source: /srv/data
        target: /mnt/data
        read_only: true
    publish:
      - port: 30080
        host_port: 8080

- name: Stop it
  nodeforge.kic.kic_node:
    name: lab-worker-1
    state: stopped
"""

RETURN = r"""
node:
  description: The node as asked for and as it is, or in check mode as it would be; V({}) when it is absent.
  type: dict
  returned: success
  contains:
    name: {description: Its name., type: str, returned: present}
    cluster: {description: Its cluster or none., type: str, returned: present}
    role: {description: Its role or none., type: str, returned: present}
    node_name:
      description: Its name in Kubernetes, which is that of its container except in a clone.
      type: str
      returned: present
    id: {description: The container's id; none in check mode before it is made., type: str, returned: present}
    state: {description: The engine's word for its state., type: str, returned: present}
    ready: {description: Whether its systemd is up; none where that was not asked., type: bool, returned: present}
    systemd_state: {description: What its systemd says of itself., type: str, returned: present}
    failed_units: {description: Units of its systemd that failed., type: list, elements: str, returned: present}
    image: {description: The image that was requested., type: str, returned: present}
    image_id: {description: Id of the image it was made from., type: str, returned: present}
    network: {description: The network that was requested., type: str, returned: present}
    ip: {description: IPv4 address., type: str, returned: present}
    ip6: {description: IPv6 address or none., type: str, returned: present}
    hostname: {description: Host name inside., type: str, returned: present}
    volume: {description: The volume at C(/var) or none., type: str, returned: present}
    mounts: {description: What was mounted for you., type: list, elements: dict, returned: present}
    tmpfs: {description: File systems in memory that were requested., type: dict, returned: present}
    publish: {description: Published ports with those of the machine., type: list, elements: dict, returned: present}
    devices: {description: Devices., type: list, elements: str, returned: present}
    memory: {description: Limit of memory in bytes that holds now or none., type: int, returned: present}
    cpus: {description: Limit of processor time that holds now or none., type: float, returned: present}
    pids_limit: {description: Limit of processes that holds now or none., type: int, returned: present}
    ulimits: {description: Limits of each process that were requested., type: dict, returned: present}
    sysctls: {description: Kernel parameters., type: dict, returned: present}
    security_opts: {description: Security options., type: list, elements: str, returned: present}
    env: {description: Names of its environment., type: list, elements: str, returned: present}
    labels: {description: Labels of your own., type: dict, returned: present}
    privileged: {description: What was requested., type: str, returned: present}
    runtime: {description: The OCI runtime., type: str, returned: present}
    dns: {description: Name servers that were requested., type: list, elements: str, returned: present}
    dns_search: {description: Search domains that were requested., type: list, elements: str, returned: present}
    extra_hosts: {description: Further lines of C(/etc/hosts)., type: dict, returned: present}
    shm_size: {description: Size of C(/dev/shm) in bytes that was requested or none., type: int, returned: present}
    cgroup_parent: {description: The control group above its own that was requested or none., type: str, returned: present}
    command: {description: Arguments in place of the image's., type: list, elements: str, returned: present}
    restart_policy: {description: When the engine starts it again., type: str, returned: present}
    adaptations:
      description: What was decided because of this machine.
      type: list
      elements: dict
      returned: present
      contains:
        option: {description: The option that it stands for and can be set by., type: str, returned: present}
        value: {description: What was chosen., type: str, returned: present}
        reason: {description: Why., type: str, returned: present}
  sample:
    adaptations: []
    cluster: lab
    command: []
    cgroup_parent:
    cpus: 1.5
    devices: []
    dns: []
    dns_search: []
    env: []
    extra_hosts: {}
    failed_units: []
    hostname: lab-worker-1
    id: 3fbc7e2f1c3c4d8f8f6d0a4c6a1f4f5d5c1b6a7e8f9a0b1c2d3e4f5a6b7c8d9e
    image: docker.io/kindest/node:v1.35.0
    image_id: 8f1b7c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b
    ip: 192.168.128.3
    ip6:
    labels: {}
    memory: 4294967296
    mounts: [{propagation: rprivate, read_only: true, relabel: none, source: /srv/data, target: /mnt/data}]
    name: lab-worker-1
    network: lab
    node_name: lab-worker-1
    pids_limit:
    privileged: auto
    publish: [{address: 127.0.0.1, host_port: 8080, port: 30080, protocol: tcp}]
    ready: true
    restart_policy: 'no'
    role: worker
    runtime: crun
    security_opts: []
    shm_size:
    state: running
    sysctls: {}
    systemd_state: running
    tmpfs: {}
    ulimits: {}
    volume: lab-worker-1
drift:
  description: What differs from what was requested and was left as it is.
  type: list
  elements: dict
  returned: success
  sample: [{asked: worker, field: role, found: control-plane}]
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: [create node lab-worker-1, start node lab-worker-1]
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
    output: {description: The words of the engine or of the node., type: str, returned: failure}
"""

from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Limits
from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node import NodeResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_arguments import NODE
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import NodeSpec


def body(task: Task) -> dict[str, Any]:
    """Bring the node into its state."""
    spec = NodeSpec.from_params(task.params)
    if not spec.described and spec.limits != Limits():
        task.warn("Without image only the state is changed; the limits are not looked at.")
    result = task.converge("node", NodeResource(spec, task.engine, runner=task.runner))
    failed = result["node"].get("failed_units")
    if failed:
        task.warn(f"The system of {spec.name} is up but degraded: {', '.join(failed)} failed.")
    return result


def main() -> None:
    """Run the module."""
    run_module(NODE, body, held="name:container")


if __name__ == "__main__":
    main()
