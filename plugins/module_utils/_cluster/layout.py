# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a cluster from the variables of the role kic_cluster, all of them checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core import checks
from .._core.subnet import overlapping
from .._kubernetes.access.paths import ADMIN, API_PORT
from .._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from .._kubernetes.network import ranges
from .declared import CONTROL_PLANE, WORKER, Declared, count, declared, number


def layout(given: Mapping[str, Any]) -> dict[str, Any]:
    """The role's variables (without their prefix) as ``nodes``, ``control_plane``, ``workers`` and ``avoid``. Where no number of
    workers is given, they are those of the nodes that are ``there``.

    Raises ``invalid_option`` with the name of the variable.
    """
    problems = checks.Problems()
    name = problems.take(_name, given) or "cluster"
    problems.take(_check_control_planes, given)
    problems.take(_check_kinds, given)
    nodes = problems.take(declared, given, name) or []
    plane = next((item.name for item in nodes if item.role == CONTROL_PLANE), f"{name}-control-plane-1")
    # Checks versions, ranges, configuration and patches, and their overlaps.
    spec: KubeadmSpec | None = None
    timeout = problems.take(number, "kic_cluster_timeout", given["timeout"])
    with problems.collect(prefix="kic_cluster_"):
        spec = KubeadmSpec.from_params(_kubeadm(given, name, plane, 1 if timeout is None else timeout))
    if spec is not None:
        with problems.collect(prefix="kic_cluster_"):
            ranges.check_room(spec.shape.pod_subnet, spec.user, len(nodes) or 1)
        problems.take(_check_network, given, spec)
    problems.take(_check_pod_network, given)
    problems.take(_check_api, given)
    if "drain_timeout" in given:
        problems.take(_check_drain, given)
    problems.finish()
    shape = checks.taken(spec).shape
    avoid = [part.strip() for value in (shape.pod_subnet, shape.service_subnet) for part in value.split(",")]
    items = [_item(node, given) for node in nodes]
    return {
        "nodes": items,
        "control_plane": plane,
        "workers": [item["name"] for item in items if item["role"] == WORKER],
        "avoid": avoid,
        "labels": {node.name: dict(node.labels) for node in nodes},
        "taints": {node.name: list(node.taints) for node in nodes},
        "pod_network": given.get("pod_network", "kic") != "none",
        "no_proxy": _direct(checks.taken(spec), avoid, items),
    }


def _item(node: Declared, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a node is made with. The control plane publishes the API, and its own kubectl needs no argument:
    `podman exec NODE kubectl get nodes`."""
    api = {"port": API_PORT, "protocol": "tcp", "address": given["api_address"]}
    if given.get("api_port") is not None:
        api["host_port"] = int(given["api_port"])
    first = node.role == CONTROL_PLANE
    return {
        "name": node.name,
        "role": node.role,
        "publish": [*([api] if first else []), *(node.options.get("publish") or [])],
        "env": {**({"KUBECONFIG": ADMIN} if first else {}), **(node.options.get("env") or {})},
        "options": {key: value for key, value in node.options.items() if key not in ("publish", "env")},
        "source": node.source,
        "sources": dict(node.sources),
    }


def _direct(spec: KubeadmSpec, ranges_: Sequence[str], nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What nodes and pods of the cluster reach without a proxy: the API by its name, each other, and services."""
    networking = (spec.user.get("ClusterConfiguration") or {}).get("networking") or {}
    domain = str(networking.get("dnsDomain") or "cluster.local")
    return [spec.shape.endpoint, *(item["name"] for item in nodes), *ranges_, ".svc", f".svc.{domain}", f".{domain}"]


def _name(given: Mapping[str, Any]) -> str:
    name = checks.host_name("kic_cluster_name", str(given["name"]))
    if given.get("nodes") is not None:
        return name
    # Its nodes' names are made of it.
    try:
        most = int(given.get("workers") or 0)
    except (TypeError, ValueError):
        most = 1
    suffixes = ("-control-plane-1", f"-worker-{max(1, most)}")
    return checks.host_name("kic_cluster_name", name, checks.LABEL_MAX - max(map(len, suffixes)))


def _check_control_planes(given: Mapping[str, Any]) -> None:
    if count(given, "control_planes", 1) != 1:
        problem = f"{given['control_planes']} control planes are more than this release makes"
        fix = "set it to 1, and give kic_cluster_workers for more nodes"
        raise checks.invalid("kic_cluster_control_planes", problem, fix)


def _check_pod_network(given: Mapping[str, Any]) -> None:
    if given.get("pod_network", "kic") not in ("kic", "none"):
        problem = f"{given['pod_network']!r} is not a valid choice"
        raise checks.invalid(
            "kic_cluster_pod_network", problem, "set it to kic, or to none to install another one yourself"
        )


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


def _kubeadm(given: Mapping[str, Any], name: str, plane: str, timeout: float) -> dict[str, Any]:
    return {
        "state": "initialized",
        "node": plane,
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
    if number("kic_cluster_drain_timeout", given["drain_timeout"]) < 1:
        raise checks.invalid("kic_cluster_drain_timeout", "is not a time", "give it in seconds, like 300")
