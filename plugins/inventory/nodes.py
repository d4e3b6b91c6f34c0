# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory of the nodes that an engine of this machine holds, found by their labels."""

from __future__ import annotations

DOCUMENTATION = r"""
name: nodes
short_description: Nodes as hosts
version_added: 0.1.0
description:
  - Finds the nodes that this collection made, by their labels, and makes each of them a host. Tasks run inside it through
    the connection plugin of its engine.
  - All of them are in the group C(kic), and by what they are in C(kic_cluster_<cluster>), C(kic_role_<role>) and
    C(kic_state_<state>). The state is the engine's word, such as V(running) or V(exited).
  - The variable C(kic) of each host is a dictionary of C(name), C(cluster), C(role), C(state), C(engine), C(id), C(image),
    C(ip), C(ip6) and C(labels), the last without those of the collection.
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [nodeforge.kic.nodes]
  engine:
    description:
      - The engine to ask. V(auto) asks each engine that is installed; one that cannot answer is left out with a warning,
        and it is an error where none can.
      - It is that of the user who runs Ansible on the controller.
    type: str
    choices: [auto, docker, podman]
    default: auto
  clusters:
    description: Only the nodes of these clusters. Left out, all nodes, also those of no cluster.
    type: list
    elements: str
  connection:
    description:
      - How tasks get into a node. V(cli) takes C(containers.podman.podman) and
        C(community.docker.docker), V(api) takes C(community.docker.docker_api) for nodes on docker.
      - V(none) leaves the connection to you, for example by O(compose).
      - The collection of the connection plugin has to be installed, and the node needs Python for all but
        M(ansible.builtin.raw) and M(ansible.builtin.script).
    type: str
    choices: [cli, api, none]
    default: cli
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
notes:
  - The name of the file has to end in C(kic.yml) or C(kic.yaml).
  - A node is skipped, with a warning, where its name is C(localhost) or that of a group or of a host that another inventory has
    defined. What other inventories define is known only where they are read before this one; of a directory, files are read in
    the order of their names.
seealso:
  - module: nodeforge.kic.kic_node_info
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
# lab.kic.yml: all nodes of all engines
plugin: nodeforge.kic.nodes

---
# The nodes of one cluster on docker, through its API, kept for ten minutes
plugin: nodeforge.kic.nodes
engine: docker
clusters: [lab]
connection: api
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/ansible
cache_timeout: 600

---
# Groups and variables of your own
plugin: nodeforge.kic.nodes
strict: true
compose:
  node_address: kic.ip
groups:
  workers: kic.role == 'worker'
keyed_groups:
  - key: kic.labels.tier | default('none')
    prefix: tier
"""

from collections.abc import Mapping
from typing import Any

from ansible.constants import LOCALHOST
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.nodeforge.kic.plugins.module_utils._command import Runner, SubprocessRunner
from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks, labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._core.replaced import is_aside
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import EngineReader
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.drivers import driver
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import BY_PRIORITY, Container
from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure

DESCRIBED = frozenset(("name", "cluster", "role", "state", "engine", "id", "image", "ip", "ip6", "labels"))
"""What is known of each node."""

GROUP = "kic"
"""The group of all nodes."""
KINDS = ("cluster", "role", "state")
"""What else there are groups by."""


def describe(engine: str, container: Container) -> dict[str, Any]:
    """The variable ``kic`` of a node, of types that JSON has."""
    addresses = [address for group in container.addresses.values() for address in group]
    return {
        "name": container.name,
        "cluster": container.labels.get(labels.CLUSTER),
        "role": container.labels.get(labels.ROLE),
        "state": container.status,
        "engine": engine,
        "id": container.id,
        "image": container.image_name,
        "ip": container.labels.get(labels.ADDRESS) or next((item for item in addresses if ":" not in item), None),
        "ip6": container.labels.get(labels.ADDRESS6) or next((item for item in addresses if ":" in item), None),
        "labels": labels.of_user(container.labels),
    }


def find(engine: EngineReader) -> list[dict[str, Any]]:
    """The nodes of an engine by their names, each as :func:`describe` tells it. Raises KicError where it cannot say."""
    found = sorted(engine.containers(labels.SCHEMA), key=lambda item: item.name)
    # A load balancer is no machine to manage: it has neither Python nor a system.
    nodes = [
        item
        for item in found
        if labels.is_ours(item.labels)
        and not is_aside(item.name)
        and item.labels.get(labels.ROLE) != labels.LOAD_BALANCER
    ]
    return [describe(engine.name, container) for container in nodes]


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Nodes as hosts."""

    NAME = "nodeforge.kic.nodes"

    runner: Runner = SubprocessRunner()

    def verify_file(self, path: str) -> bool:
        """Whether the file is one of ours, by its name."""
        plugin: Any = super()  # ansible-core's classes have no annotations
        return bool(plugin.verify_file(path)) and path.endswith(("kic.yml", "kic.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Read the file and add the hosts. Raises AnsibleParserError where no engine can say which there are."""
        super().parse(inventory, loader, path, cache)
        try:
            self._parse(inventory, path, cache)
        except AnsibleError:
            raise
        except Exception as error:
            raise AnsibleParserError(str(as_failure(error))) from error

    def _parse(self, inventory: Any, path: str, cache: bool) -> None:
        plugin: Any = self
        given = plugin._read_config_data(path)
        for name in sorted(map(str, set(given) - set(plugin.get_options()))):
            # Ansible takes no notice of it, and without clusters, for example, other nodes would be hosts too.
            self.display.warning(
                f"{path}: {name} is not an option of this inventory and is ignored. {_suggestion(name, plugin)}"
            )
        kept = plugin._cache if plugin.get_option("cache") else {}
        key = plugin.get_cache_key(path)
        # ``cache`` is false where the user asks for what there is now (--flush-cache, meta: refresh_inventory).
        nodes: Any = kept.get(key) if cache else None
        if not _described(nodes):
            nodes = kept[key] = self._ask(plugin.get_option("engine"))
        clusters = plugin.get_option("clusters")
        for node in nodes:
            if clusters is None or node["cluster"] in clusters:
                problem = refusal(inventory, node)
                if problem:
                    self.display.warning(f"The node {node['name']} on {node['engine']} is skipped: {problem}")
                    continue
                _add(plugin, node)

    def _ask(self, asked: str) -> list[dict[str, Any]]:
        """The nodes of the engine that was requested, or of all."""
        nodes: dict[str, dict[str, Any]] = {}
        errors: dict[str, KicError] = {}
        names = list(BY_PRIORITY) if asked == "auto" else [asked]
        for name in names:
            try:
                found = find(driver(name)(self.runner))
            except Exception as error:
                errors[name] = as_failure(error)
                continue
            for node in found:
                first = nodes.setdefault(node["name"], node)
                if first is not node:
                    self.display.warning(
                        f"Both engines have a node {node['name']}; the one on {first['engine']} is the host. "
                        "Name one engine by the option engine."
                    )
        if len(errors) == len(names):
            # What is there and does not work tells more than what is not there.
            raise AnsibleParserError(str(min(errors.values(), key=_not_installed)))
        for name, problem in errors.items():
            if not _not_installed(problem):
                self.display.warning(
                    f"Nodes on {name} are left out: {problem.diagnosis.cause} Name the other engine by the option engine "
                    "where there is nothing to miss."
                )
        return list(nodes.values())


def refusal(inventory: Any, node: dict[str, Any]) -> str:
    """Why a node cannot be a host, as a sentence; "" where it can.

    A host that is there already is somebody's machine: with the variables of the node, plays that mean the machine, and
    their secrets, would go into the container.
    """
    name = str(node["name"])
    try:
        checks.name("name", name)
    except KicError as error:
        return error.diagnosis.cause
    if name.lower().partition(".")[0] == "localhost" or name in LOCALHOST:
        return "its name means the controller itself. Rename or remove the container."
    # The plugin's own are there or not by the order of the nodes.
    if name in inventory.groups or name == GROUP or name.startswith(tuple(f"{GROUP}_{kind}_" for kind in KINDS)):
        return "a group of the inventory has this name. Rename one of them."
    there = inventory.hosts.get(name)
    known = there.vars.get("kic") if there is not None else None
    if there is not None and not (isinstance(known, Mapping) and known.get("id") == node["id"]):
        return "another inventory has a host of this name. Rename one of them, or name other clusters by the option clusters."
    return ""


def _add(plugin: Any, node: dict[str, Any]) -> None:
    """Add a host with its groups and variables."""
    host, inventory = node["name"], plugin.inventory
    inventory.add_host(host)
    # Whoever makes a container or its image chooses names and labels: they are never templates.
    values = {"kic": wrap_var(node), "ansible_host": wrap_var(host)}
    connection = driver(node["engine"]).connections.get(plugin.get_option("connection"))
    if connection is not None:
        values["ansible_connection"] = connection
    for key, value in values.items():
        inventory.set_variable(host, key, value)
    # What a group may be called is what a variable may: the nodes of branch-42 are in kic_cluster_branch_42.
    for group in (GROUP, *(f"{GROUP}_{kind}_{node[kind]}" for kind in KINDS if node[kind])):
        inventory.add_child(inventory.add_group(plugin._sanitize_group_name(group)), host)
    strict = plugin.get_option("strict")
    plugin._set_composite_vars(plugin.get_option("compose"), values, host, strict=strict)
    plugin._add_host_to_composed_groups(plugin.get_option("groups"), values, host, strict=strict)
    plugin._add_host_to_keyed_groups(plugin.get_option("keyed_groups"), values, host, strict=strict)


def _suggestion(name: str, plugin: Any) -> str:
    """What to write in place of an option that is not one."""
    close = checks.closest(name, plugin.get_options())
    if close:
        return f"Fix: write {close}, or leave it out"
    return "Fix: see what it takes: ansible-doc -t inventory nodeforge.kic.nodes"


def _described(nodes: Any) -> bool:
    """Whether a cache holds nodes as ``describe`` tells of them: another release, or another hand, may have written it."""
    return isinstance(nodes, list) and all(isinstance(item, Mapping) and set(item) >= DESCRIBED for item in nodes)


def _not_installed(error: KicError) -> bool:
    return error.diagnosis.id == "engine_not_installed"
