#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module oci_engine_info: documentation and arguments; the logic is in module_utils/_engine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_engine_info
short_description: Which container engines a machine has, the one to use, and facts of the host
version_added: 0.1.0
description:
  - Looks once for all tasks of a play. Hand RV(engine_facts) on to the other modules of the collection.
  - Fails when the engine that was requested cannot be used, or none can.
options:
  cluster:
    description: With O(engine=auto), the engine that holds nodes of this cluster is the one to use. RV(cluster) names those that run.
    type: str
  nodes:
    description:
      - Whether nodes are to be made on the engine. An ordinary user who lacks a cgroup controller or the subordinate ids that
        they need is then refused, before anything is made; the role P(nodeforge.kic.kic_host#role) gives them both.
    type: bool
    default: false
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.info
seealso:
  - module: nodeforge.kic.cgroup_delegation
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Inspect the engine once
  nodeforge.kic.oci_engine_info:
  register: kic_engine

- name: Show what could be better about each engine
  ansible.builtin.debug:
    msg: "{{ kic_engine.engines | map(attribute='improvements') | flatten | map(attribute='fix') }}"

- name: Fail here if this user cannot run nodes
  nodeforge.kic.oci_engine_info:
    nodes: true

- name: Work without asking again
  nodeforge.kic.oci_volume:
    name: data
    engine_facts: "{{ kic_engine.engine_facts }}"
"""

RETURN = r"""
engines:
  description: The engines that were looked for.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: The engine., type: str, returned: success}
    aliases:
      description: Other programs of this machine that are this engine, as C(docker) of the package podman-docker.
      type: list
      elements: str
      returned: success
    priority: {description: Of two that are as good as each other the higher is taken., type: int, returned: success}
    default: {description: Whether O(engine=auto) takes it where no engine holds what a task is about., type: bool, returned: success}
    version: {description: Its version; empty where it does not answer., type: str, returned: success}
    endpoint: {description: 'Where its daemon listens; empty for podman, which has none.', type: str, returned: success}
    rootless: {description: Whether it is an ordinary user's; null where it does not answer., type: bool, returned: success}
    storage_driver: {description: How it stores layers., type: str, returned: success}
    cgroup_version: {description: 1 (also on hybrid hosts) or 2., type: int, returned: success}
    cgroup_manager: {description: C(systemd) or C(cgroupfs)., type: str, returned: success}
    runtimes: {description: OCI runtimes that it can use., type: list, elements: str, returned: success}
    installed: {description: Whether its client is there., type: bool, returned: success}
    running: {description: Whether it answers., type: bool, returned: success}
    healthy: {description: Whether nothing keeps nodes from running on it., type: bool, returned: success}
    needs_improvement: {description: 'Whether RV(engines[].improvements) names something.', type: bool, returned: success}
    usable: {description: Whether nodes can run on it., type: bool, returned: success}
    reason: {description: Why it cannot be used; id of a diagnosis or empty., type: str, returned: success}
    cause: {description: The same for a person., type: str, returned: success}
    fix: {description: What to type., type: str, returned: success}
    link: {description: Page of the collection's repository that describes the reason., type: str, returned: success}
    improvements:
      description: What should be repaired although it works, the worst first. O(engine=auto) prefers an engine without any.
      type: list
      elements: dict
      returned: success
      contains:
        id: {description: Id of a diagnosis., type: str, returned: success}
        cause: {description: The same for a person., type: str, returned: success}
        fix: {description: What to type., type: str, returned: success}
        link: {description: Page of the collection's repository that describes it., type: str, returned: success}
  sample:
    - aliases: []
      cause: ''
      cgroup_manager: systemd
      cgroup_version: 2
      default: true
      endpoint: ''
      fix: ''
      healthy: true
      improvements: []
      installed: true
      link: ''
      name: podman
      needs_improvement: false
      priority: 20
      reason: ''
      rootless: false
      running: true
      runtimes: [crun]
      storage_driver: overlay
      usable: true
      version: 5.4.2
engine_facts:
  description: The chosen engine and its host, to be handed on.
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
images:
  description: Names of node images in its store that were built by the role P(nodeforge.kic.kic_image#role).
  type: list
  elements: str
  returned: success
  sample: ['localhost/nodeforge/kic-node:v1.35.4-a309c84e92ca']
cluster:
  description: What O(cluster) has on the chosen engine.
  type: dict
  returned: success
  contains:
    name: {description: As it was requested., type: str, returned: success}
    running: {description: Names of its nodes that run., type: list, elements: str, returned: success}
  sample: {name: kic, running: [kic-control-plane-1]}
host:
  description: The machine, as far as it decides how nodes run on it. A failure has it too.
  type: dict
  returned: always
  contains:
    architecture: {description: By its name in images., type: str, returned: always}
    cgroup_version: {description: 1 (also on hybrid hosts) or 2., type: int, returned: always}
    cpus: {description: Processors that are switched on., type: int, returned: always}
    memory: {description: Bytes of memory., type: int, returned: always}
    runtimes: {description: OCI runtimes on PATH., type: list, elements: str, returned: always}
    packet_filters:
      description: Programs on PATH by which engines publish ports, C(iptables) and C(nft).
      type: list
      elements: str
      returned: always
    nofile: {description: The most open files a process can be given., type: int, returned: always}
    nproc: {description: The most processes a user can be given., type: int, returned: always}
    kernel_modules: {description: Whether there is C(/lib/modules)., type: bool, returned: always}
    systemd: {description: Whether systemd manages the machine., type: bool, returned: always}
    distribution:
      description: C(id) and C(version) in the words of os-release, and the C(family) - V(Debian), V(RedHat), V(Suse) or empty.
      type: dict
      returned: always
    disabled_units:
      description: Units that bring an engine or its containers back at the start of the machine, and are not enabled.
      type: list
      elements: str
      returned: always
    sysctls: {description: Settings of the kernel that decide how many nodes run., type: dict, returned: always}
    modules:
      description:
        - Of modules that rootless containers need, whether each is there now and after the next start of the machine. Empty where
          the kernel has no directory of modules.
      type: dict
      returned: always
    user:
      description: The ordinary user that asked, and what there is for them; null for root.
      type: dict
      returned: always
      contains:
        name: {description: Their name., type: str, returned: always}
        uid: {description: Their number., type: int, returned: always}
        environment:
          description:
            - Variables that podman's client needs as this user, and that a task which became the user may lack or have of another.
            - The home and, where there is one, the run-time directory. For tasks that run the client themselves.
          type: dict
          returned: always
          version_added: 0.1.0
        sub_ids: {description: How many subordinate ids they have; null where a name service gives them., type: int, returned: always}
        maps_ids: {description: Whether C(newuidmap) and C(newgidmap) may do their work., type: bool, returned: always}
        controllers: {description: Cgroup controllers that reach them., type: list, elements: str, returned: always}
        manager_running: {description: Whether their systemd runs., type: bool, returned: always}
        lingers: {description: Whether it runs without a login; null without systemd., type: bool, returned: always}
        bus: {description: Whether there is a message bus for them., type: bool, returned: always}
        programs:
          description: Those of newuidmap, newgidmap, pasta, slirp4netns, fuse-overlayfs and setfacl that are there.
          type: list
          elements: str
          returned: always
        handed_over:
          description: Whether another ordinary user's Ansible became this user, for which it runs setfacl.
          type: bool
          returned: always
        native_overlay: {description: Whether the kernel lets them mount overlays., type: bool, returned: always}
  sample:
    architecture: amd64
    cgroup_version: 2
    cpus: 2
    disabled_units: [podman-restart.service]
    distribution: {family: Debian, id: debian, version: '13'}
    kernel_modules: true
    memory: 25276510208
    modules: {nf_conntrack: false, nf_tables: false, overlay: false, tun: false}
    nofile: 1048576
    nproc: 1048576
    packet_filters: [iptables, nft]
    runtimes: [crun]
    sysctls:
      fs.inotify.max_user_instances: 128
      fs.inotify.max_user_watches: 192536
      kernel.keys.maxbytes: 20000
      kernel.keys.maxkeys: 200
      net.ipv4.ip_unprivileged_port_start: 1024
    systemd: true
    user: null
actions:
  description: Always empty, as nothing is changed.
  type: list
  elements: str
  returned: always
  sample: []
engine:
  description: The engine that was chosen.
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

from dataclasses import replace
from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._command import Runner
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import cluster_nodes
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.status import statuses
from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._host.machine import host_facts
from ansible_collections.nodeforge.kic.plugins.module_utils._host.preflight import (
    ENGINE,
    MACHINE,
    USER,
    Facts,
    refuse,
    warnings,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._host.user import user_facts
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.built_images import find_images


def look(task: Task) -> dict[str, Any]:
    """The engines and the facts of the chosen one."""
    facts = Facts(task.engine.info, task.runner)
    if task.params["nodes"]:
        refuse(facts, ENGINE, USER)
    cluster = task.params["cluster"]
    nodes = task.seen if task.seen is not None else cluster_nodes(task.engine, cluster) if cluster else []
    network = warnings(facts, MACHINE)
    for weakness in network:
        task.warn(f"{weakness.cause} Fix: {weakness.fix}")
    found = [
        replace(item, improvements=(*item.improvements, *network)) if item.name == task.engine.name else item
        for item in statuses(task.runner, task.engine)
    ]
    return {
        "changed": False,
        "engines": [status.as_dict() for status in found],
        "engine_facts": task.engine.info.as_dict(),
        "images": find_images(task.engine),
        "cluster": {"name": cluster, "running": sorted(node.name for node in nodes if node.running)},
        "host": _host(task.runner),
    }


def _host(runner: Runner) -> dict[str, Any]:
    return dict(host_facts(), user=user_facts(runner))


def main() -> None:
    """Run the module."""
    run_module(
        {"cluster": {"type": "str"}, "nodes": {"type": "bool", "default": False}},
        look,
        failure_facts=lambda runner: {"host": _host(runner)},
        held="cluster:cluster",
    )


if __name__ == "__main__":
    main()
