# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a cluster from the variables of the role kic_cluster, all of them checked before anything is changed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._core import checks
from .._core.diagnosis import KicError
from .._core.subnet import overlapping
from .._kubernetes.access.paths import ADMIN, API_PORT
from .._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec, node_labels
from .._kubernetes.network import ranges
from .._resources.node_options import PASSED_ON

CONTROL_PLANE_MEMORY = 1700 * 1000 * 1000
"""Bytes below which kubeadm refuses a control plane (kubeadm's constants: ControlPlaneMem = 1700 MB)."""

# What the role sets of each node itself.
_OWN = frozenset(
    (
        "name",
        "state",
        "cluster",
        "role",
        "image",
        "network",
        "ip",
        "ip6",
        "hostname",
        "volume",
        "files",
        "no_proxy",
        "wait",
        "wait_timeout",
        "engine",
        "engine_facts",
    )
)
NODE_OPTIONS = frozenset(
    (
        *(
            "mounts",
            "tmpfs",
            "publish",
            "devices",
            "memory",
            "cpus",
            "pids_limit",
            "ulimits",
            "sysctls",
            "security_opts",
        ),
        *("env", "labels", "privileged", "runtime", "restart_policy", "recreate"),
        *(option.name for option in PASSED_ON),
    )
)
"""Options of kic_node that the role's variable kic_cluster_node may set for all nodes."""


def layout(given: Mapping[str, Any]) -> dict[str, Any]:
    """The role's variables (without their prefix) as ``nodes``, ``control_plane``, ``workers`` and ``avoid``. Where no number of
    workers is given, they are those of the nodes that are ``there``.

    Raises ``invalid_option`` with the name of the variable.
    """
    problems = checks.Problems()
    name = problems.take(_name, given) or "cluster"
    problems.take(_check_control_planes, given)
    workers = problems.take(_workers, given, name) or []
    problems.take(_check_kinds, given)
    # Checks versions, ranges, configuration and patches, and their overlaps.
    spec: KubeadmSpec | None = None
    timeout = problems.take(_number, "timeout", given["timeout"])
    with problems.collect(prefix="kic_cluster_"):
        spec = KubeadmSpec.from_params(_kubeadm(given, name, 1 if timeout is None else timeout))
    if spec is not None:
        with problems.collect(prefix="kic_cluster_"):
            ranges.check_room(spec.shape.pod_subnet, spec.user, 1 + len(workers))
        problems.take(_check_network, given, spec)
    problems.take(_check_pod_network, given)
    labels = {
        role: problems.take(_labels_of, given, f"{role.replace('-', '_')}_labels")
        for role in ("control-plane", "worker")
    }
    problems.take(_check_api, given)
    if "drain_timeout" in given:
        problems.take(_check_drain, given)
    node = problems.take(_check_node, given) or {}
    problems.finish()
    shape = checks.taken(spec).shape
    avoid = [part.strip() for value in (shape.pod_subnet, shape.service_subnet) for part in value.split(",")]
    api = {"port": API_PORT, "protocol": "tcp", "address": given["api_address"]}
    if given.get("api_port") is not None:
        api["host_port"] = int(given["api_port"])
    control_plane = {
        "name": f"{name}-control-plane-1",
        "role": "control-plane",
        "publish": [api, *(node.get("publish") or [])],
        # With it the node's own kubectl needs no argument: `podman exec NODE kubectl get nodes`.
        "env": {"KUBECONFIG": ADMIN, **(node.get("env") or {})},
    }
    others: list[dict[str, Any]] = [
        # A port of the host leads to one node only; those of the user's are the control plane's.
        {"name": worker, "role": "worker", "publish": [], "env": node.get("env") or {}}
        for worker in workers
    ]
    return {
        "nodes": [control_plane, *others],
        "control_plane": control_plane["name"],
        "workers": [item["name"] for item in others],
        "avoid": avoid,
        "labels": {item["name"]: labels[item["role"]] for item in (control_plane, *others)},
        "pod_network": given.get("pod_network", "kic") != "none",
        "no_proxy": _direct(checks.taken(spec), avoid, [control_plane, *others]),
    }


def _direct(spec: KubeadmSpec, ranges_: Sequence[str], nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What nodes and pods of the cluster reach without a proxy: the API by its name, each other, and services."""
    networking = (spec.user.get("ClusterConfiguration") or {}).get("networking") or {}
    domain = str(networking.get("dnsDomain") or "cluster.local")
    return [spec.shape.endpoint, *(item["name"] for item in nodes), *ranges_, ".svc", f".svc.{domain}", f".{domain}"]


def _name(given: Mapping[str, Any]) -> str:
    name = checks.host_name("kic_cluster_name", str(given["name"]))
    # Its nodes' names are made of it.
    try:
        most = int(given.get("workers") or 0)
    except (TypeError, ValueError):
        most = 1
    suffixes = ("-control-plane-1", f"-worker-{max(1, most)}")
    return checks.host_name("kic_cluster_name", name, checks.LABEL_MAX - max(map(len, suffixes)))


def worker_names(cluster: str) -> re.Pattern[str]:
    """What the names of the workers look like that are counted."""
    return re.compile(rf"{re.escape(cluster)}-worker-([1-9][0-9]*)")


def _workers(given: Mapping[str, Any], name: str) -> list[str]:
    """The names of the workers: as many as there are to be, or those that are ``there``."""
    if given.get("workers") is not None:
        return [f"{name}-worker-{index + 1}" for index in range(_count(given, "workers", 0))]
    found = (worker_names(name).fullmatch(item) for item in given.get("there") or ())
    return [item[0] for item in sorted((item for item in found if item), key=lambda item: int(item[1]))]


def _check_control_planes(given: Mapping[str, Any]) -> None:
    if _count(given, "control_planes", 1) != 1:
        problem = f"{given['control_planes']} control planes are more than this release makes"
        fix = "set it to 1, and give kic_cluster_workers for more nodes"
        raise checks.invalid("kic_cluster_control_planes", problem, fix)


def _check_pod_network(given: Mapping[str, Any]) -> None:
    if given.get("pod_network", "kic") not in ("kic", "none"):
        problem = f"{given['pod_network']!r} is not a valid choice"
        raise checks.invalid(
            "kic_cluster_pod_network", problem, "set it to kic, or to none to install another one yourself"
        )


def _labels_of(given: Mapping[str, Any], key: str) -> dict[str, str]:
    value = given.get(key) or {}
    if not isinstance(value, Mapping):
        raise checks.invalid(f"kic_cluster_{key}", "is not a mapping", "write it like {ingress-ready: 'true'}")
    try:
        return node_labels(value)
    except KicError as error:
        cause = error.diagnosis.cause.partition(": ")[2].rstrip(".")
        raise checks.invalid(f"kic_cluster_{key}", cause, error.diagnosis.fix) from error


def _check_kinds(given: Mapping[str, Any]) -> None:
    for key, kind, word in (
        ("network", dict, "mapping"),
        ("engine_facts", dict, "mapping"),
        ("api_sans", list, "list"),
    ):
        if not isinstance(given.get(key) or kind(), kind):
            raise checks.invalid(
                f"kic_cluster_{key}", f"is not a {word}", "see the documentation of the role kic_cluster"
            )


def _kubeadm(given: Mapping[str, Any], name: str, timeout: float) -> dict[str, Any]:
    return {
        "state": "initialized",
        "node": f"{name}-control-plane-1",
        "cluster": name,
        "control_plane": None,
        "kubernetes_version": given.get("kubernetes_version"),
        "pod_subnet": str(given["pod_subnet"]),
        "service_subnet": str(given["service_subnet"]),
        "api_sans": [str(item) for item in given["api_sans"] or ()] if isinstance(given["api_sans"], list) else [],
        "endpoint": None,
        "schedulable": True,
        "configuration": given.get("configuration"),
        "patches": given.get("patches"),
        "manifests": [],
        "timeout": timeout,
    }


def _number(option: str, value: Any) -> float:
    try:
        found = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise checks.invalid(f"kic_cluster_{option}", f"{value!r} is not a number", "set it to one")
    return found


def _count(given: Mapping[str, Any], key: str, least: int) -> int:
    try:
        found = int(given[key])
    except (TypeError, ValueError):
        found = -1
    if not least <= found <= 99:
        raise checks.invalid(
            f"kic_cluster_{key}", f"{given[key]!r} is not a number from {least} to 99", "set it to one"
        )
    return found


def _check_network(given: Mapping[str, Any], spec: KubeadmSpec) -> None:
    network = given.get("network") or {}
    if not isinstance(network, Mapping):
        return
    if network.get("subnet6") == "none" and 6 in ranges.versions(spec.shape.pod_subnet):
        problem = "it is none, and kic_cluster_pod_subnet has an IPv6 range"
        raise checks.invalid("kic_cluster_network.subnet6", problem, "leave it out, or leave out the IPv6 range")
    for key, version in (("subnet", 4), ("subnet6", 6)):
        value = network.get(key)
        if value is None or value == "none":
            continue
        option = f"kic_cluster_network.{key}"
        subnet = checks.network(option, str(value), version)
        for other, taken_by in (("pod_subnet", spec.shape.pod_subnet), ("service_subnet", spec.shape.service_subnet)):
            taken = overlapping(subnet, ranges.parse(other, taken_by))
            if taken is not None:
                problem = f"{subnet} overlaps {taken}, which is kic_cluster_{other}"
                raise checks.invalid(option, problem, "leave it out to have a free one chosen, or name another")
        if key == "subnet" and network.get("gateway") is not None:
            checks.address_in("kic_cluster_network.gateway", str(network["gateway"]), subnet)


def _check_api(given: Mapping[str, Any]) -> None:
    checks.address("kic_cluster_api_address", str(given["api_address"]))
    port = given.get("api_port")
    if port is not None and not (str(port).isdigit() and 1 <= int(port) <= 65535):
        raise checks.invalid(
            "kic_cluster_api_port", f"{port!r} is not a port", "leave it out to have a free one chosen"
        )


def _check_drain(given: Mapping[str, Any]) -> None:
    if _number("drain_timeout", given["drain_timeout"]) < 1:
        raise checks.invalid("kic_cluster_drain_timeout", "is not a time", "give it in seconds, like 300")


def _check_node(given: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Mapping[str, Any] = given.get("node") or {}
    if not isinstance(node, Mapping):
        raise checks.invalid(
            "kic_cluster_node", "is not a mapping of options", "write it like kic_cluster_node: {memory: 4g}"
        )
    for key, kind, word in (("env", Mapping, "mapping"), ("publish", list, "list")):
        if node.get(key) is not None and not isinstance(node[key], kind):
            raise checks.invalid(f"kic_cluster_node.{key}", f"is not a {word}", f"see the option {key} of kic_node")
    for key in node:
        if key in _OWN:
            raise checks.invalid(f"kic_cluster_node.{key}", "is set by the role for each node", "leave it out")
        if key not in NODE_OPTIONS:
            raise checks.invalid(
                f"kic_cluster_node.{key}", "is not an option of kic_node", f"use {', '.join(sorted(NODE_OPTIONS))}"
            )
    facts = given.get("engine_facts") or {}
    known = bool(facts) and facts.get("version") != "0"
    cpus, memory = node.get("cpus"), node.get("memory")
    if cpus is not None and _number("node.cpus", cpus) > (int(facts["cpus"]) if known else 100_000):
        have = facts["cpus"] if known else 100_000
        problem = f"{cpus} is more than the {have} processors of this machine"
        raise checks.invalid("kic_cluster_node.cpus", problem, f"set it to {have} or less")
    minimum = f"{CONTROL_PLANE_MEMORY // 1000 // 1000} MB"
    if memory is not None:
        asked = checks.size("kic_cluster_node.memory", str(memory))
        if asked < CONTROL_PLANE_MEMORY:
            problem = f"{memory} is less than the {minimum} that a control plane of Kubernetes needs"
            raise checks.invalid("kic_cluster_node.memory", problem, "set it to 2g or more")
        if known and asked > int(facts["memory"]):
            problem = f"{memory} is more than the {int(facts['memory']) >> 20} MiB of this machine"
            raise checks.invalid("kic_cluster_node.memory", problem, "set it to less")
    elif known and int(facts["memory"]) < CONTROL_PLANE_MEMORY:
        problem = f"this machine has {int(facts['memory']) >> 20} MiB, a control plane of Kubernetes needs {minimum}"
        raise checks.invalid("kic_cluster_node.memory", problem, "use a machine with more memory")
    return node
