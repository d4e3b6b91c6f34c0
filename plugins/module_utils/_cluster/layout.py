# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a cluster from the variables of the role kic_cluster, all of them checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core import checks
from .._core.labels import CONTROL_PLANE, WORKER
from .._core.subnet import overlapping
from .._kubernetes.access.paths import ADMIN, API_PORT
from .._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from .._kubernetes.network import ranges
from .declared import NOTHING, Declared, There, balancer_name, declared, number


def layout(given: Mapping[str, Any]) -> dict[str, Any]:
    """The role's variables (without their prefix) as ``nodes``, ``control_plane`` (by which the API is asked), ``control_planes``,
    ``workers``, ``balancer`` and ``avoid``. Where no number of nodes is given, they are those that are ``there``.

    Raises ``invalid_option`` with the name of the variable.
    """
    problems = checks.Problems()
    name = problems.take(_name, given) or "cluster"
    problems.take(_check_kinds, given)
    nodes = problems.take(declared, given, name) or []
    there: There = given.get("there") or NOTHING
    declared_planes = [item.name for item in nodes if item.role == CONTROL_PLANE]
    planes = [*declared_planes, *_staying(given, there, declared_planes)]
    # A cluster is begun once: a control plane that was lost joins what the others have kept.
    known = [item for item in there.complete if item in declared_planes] or [*there.complete, *declared_planes]
    plane = next(iter(known), f"{name}-control-plane-1")
    if len(planes) > 1:
        problems.take(checks.host_name, "kic_cluster_name", name, checks.LABEL_MAX - len(balancer_name("")))
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
    balanced = _balanced(given, there, planes, balancer_name(name))
    items = [_item(node, given, balanced=balanced) for node in nodes]
    return {
        "nodes": items,
        "control_plane": plane,
        "control_planes": planes,
        "workers": [item["name"] for item in items if item["role"] == WORKER],
        "balancer": _balancer(given, there, name) if balanced else None,
        "avoid": avoid,
        "labels": {node.name: dict(node.labels) for node in nodes},
        "taints": {node.name: list(node.taints) for node in nodes},
        "pod_network": given.get("pod_network", "kic") != "none",
        "no_proxy": _direct(checks.taken(spec), avoid, items),
    }


def _staying(given: Mapping[str, Any], there: There, declared_planes: Sequence[str]) -> list[str]:
    """Control planes that are there and not declared, and stay."""
    leave = given.get("prune") and (given.get("control_planes") is not None or given.get("nodes") is not None)
    return [] if leave else [name for name in there.planes if name not in declared_planes]


def _balanced(given: Mapping[str, Any], there: There, planes: Sequence[str], balancer: str) -> bool:
    """Whether a load balancer offers the API on the host: in front of several control planes, and of one that was created
    without the port that is requested and that the load balancer has."""
    if len(planes) != 1:
        return len(planes) > 1
    port, kept = given.get("api_port"), there.api_ports.get(planes[0])
    return port is not None and kept is not None and kept != int(port) and there.api_ports.get(balancer) == int(port)


def _api(given: Mapping[str, Any], port: Any) -> dict[str, Any]:
    """How the API is published on the host."""
    own = {"host_port": int(port)} if port is not None else {}
    return {"port": API_PORT, "protocol": "tcp", "address": given["api_address"], **own}


def _balancer(given: Mapping[str, Any], there: There, name: str) -> dict[str, Any]:
    """What the load balancer is made with. The port that is requested may be that of a control plane since before there was one."""
    own, port = balancer_name(name), given.get("api_port")
    taken = {found for plane, found in there.api_ports.items() if plane != own}
    return {"name": own, "publish": [_api(given, None if port is None or int(port) in taken else port)]}


def _item(node: Declared, given: Mapping[str, Any], *, balanced: bool) -> dict[str, Any]:
    """What a node is made with. A control plane publishes its API, and its own kubectl needs no argument:
    `podman exec NODE kubectl get nodes`.

    :param balanced: whether the port that is requested is the load balancer's.
    """
    api = _api(given, None if balanced else given.get("api_port"))
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
