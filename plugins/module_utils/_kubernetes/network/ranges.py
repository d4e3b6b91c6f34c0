# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Address ranges of pods and services: whether they fit each other, the nodes and the machine. Pure.

kubeadm and the API find most of it too, but only when network, volumes and nodes were made, and after minutes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from ..._core import checks
from ..._core.checks import IPNetwork
from ..._host.files import lines

NODE_LENGTH = {4: 24, 6: 64}
"""Prefix length of one node's range (kubernetes, cmd/kube-controller-manager/app/core.go)."""

_NODE_BITS = 16
"""How many bits more than the pod subnet that may have (kubernetes, pkg/controller/nodeipam/ipam/cidrset)."""

_SERVICE_BITS = 20
"""Largest range of services, and of addresses that it needs at least 10 (kubeadm, validation.go and constants.go)."""


def parse(option: str, value: str) -> list[IPNetwork]:
    """The ranges of an option, one of each IP version at most, in their order."""
    found = [checks.network(option, part.strip()) for part in value.split(",")]
    if len(found) > 2 or len({item.version for item in found}) != len(found):
        raise checks.invalid(option, f"{value!r} has more than one range of an IP version", "give one, or one of each")
    return found


def versions(value: str) -> tuple[int, ...]:
    """IP versions of a checked option, the first one is that of the cluster."""
    return tuple(ipaddress.ip_network(part.strip()).version for part in value.split(","))


def check(pods: str, services: str, configuration: Mapping[str, Mapping[str, Any]], problems: checks.Problems) -> None:
    """Collect what is wrong with the ranges of pods and services, and with addresses in the user's configuration."""
    pod_ranges = problems.take(parse, "pod_subnet", pods)
    service_ranges = problems.take(parse, "service_subnet", services)
    for ranges, option in ((pod_ranges, "pod_subnet"), (service_ranges, "service_subnet")):
        if ranges:
            problems.take(_check_order, option, ranges)
    if pod_ranges and service_ranges:
        problems.take(_check_pair, pod_ranges, service_ranges)
    if service_ranges:
        problems.take(_check_services, service_ranges)
    if pod_ranges and not _has_own_masks(configuration):
        problems.take(_check_pods, pod_ranges)
    for kind in ("InitConfiguration", "JoinConfiguration"):
        fields = configuration.get(kind) or {}
        problems.take(_check_advertised, f"configuration.{kind}", fields)
        problems.take(_check_node_ip, f"configuration.{kind}", fields)


def _check_order(option: str, ranges: Sequence[IPNetwork]) -> None:
    if ranges[0].version == 4:
        return
    if len(ranges) == 2:
        problem = "IPv6 stands before IPv4; the API and the nodes of a cluster have an IPv4 address first here"
        raise checks.invalid(option, problem, f"write it as {ranges[1]},{ranges[0]}")
    other = "10.244.0.0/16" if option == "pod_subnet" else "10.96.0.0/16"
    problem = f"{ranges[0]} is IPv6 alone; clusters without IPv4 are not supported, dual stack is"
    raise checks.invalid(option, problem, f"put an IPv4 range before it: {other},{ranges[0]}")


def _check_pair(pods: Sequence[IPNetwork], services: Sequence[IPNetwork]) -> None:
    for one in pods:
        for other in services:
            if one.version == other.version and one.overlaps(other):
                raise checks.invalid("pod_subnet", f"{one} overlaps the service range {other}", "name another")
    lacking = [item for item in services if item.version not in {one.version for one in pods}]
    if lacking:
        problem = f"{lacking[0]} is IPv{lacking[0].version}, and pod_subnet has no IPv{lacking[0].version} range"
        raise checks.invalid("service_subnet", problem, "give both the same IP versions, or leave that range out")


def _check_services(ranges: Sequence[IPNetwork]) -> None:
    for item in ranges:
        bits = item.max_prefixlen - item.prefixlen
        if bits > _SERVICE_BITS:
            problem = f"{item} is larger than Kubernetes takes for services"
            raise checks.invalid("service_subnet", problem, f"set /{item.max_prefixlen - _SERVICE_BITS} or longer")
        if item.num_addresses < 10:
            problem = f"{item} has fewer than the 10 addresses that kubeadm needs"
            raise checks.invalid("service_subnet", problem, f"set /{item.max_prefixlen - 4} or shorter")


def _check_pods(ranges: Sequence[IPNetwork]) -> None:
    for item in ranges:
        length = NODE_LENGTH[item.version]
        if item.prefixlen > length:
            problem = f"{item} is smaller than the /{length} that each node gets of it"
            raise checks.invalid("pod_subnet", problem, f"set /{length} or shorter, with room for each node")
        if length - item.prefixlen > _NODE_BITS:
            problem = f"{item} is larger than Kubernetes divides into ranges of /{length}"
            raise checks.invalid("pod_subnet", problem, f"set /{length - _NODE_BITS} or longer")


def check_room(pods: str, configuration: Mapping[str, Mapping[str, Any]], nodes: int) -> None:
    """Raise where there are more nodes than ranges for them."""
    for item in [] if _has_own_masks(configuration) else parse("pod_subnet", pods):
        room = 1 << max(0, NODE_LENGTH[item.version] - item.prefixlen)
        if room < nodes:
            problem = (
                f"{item} has room for {room} nodes with a /{NODE_LENGTH[item.version]} each, and {nodes} are to be made"
            )
            raise checks.invalid("pod_subnet", problem, "set a shorter prefix length, or make fewer nodes")


def _has_own_masks(configuration: Mapping[str, Mapping[str, Any]]) -> bool:
    manager = (configuration.get("ClusterConfiguration") or {}).get("controllerManager") or {}
    return any(item["name"].startswith("node-cidr-mask-size") for item in manager.get("extraArgs") or ())


def _check_advertised(option: str, fields: Mapping[str, Any]) -> None:
    endpoint = fields.get("localAPIEndpoint") or (fields.get("controlPlane") or {}).get("localAPIEndpoint") or {}
    value = endpoint.get("advertiseAddress")
    if value is not None:
        _ipv4(f"{option}.localAPIEndpoint.advertiseAddress", str(value))


def _check_node_ip(option: str, fields: Mapping[str, Any]) -> None:
    for item in (fields.get("nodeRegistration") or {}).get("kubeletExtraArgs") or ():
        if item["name"] == "node-ip" and item.get("value") is not None:
            _ipv4(f"{option}.nodeRegistration.kubeletExtraArgs", item["value"].partition(",")[0].strip())


def _ipv4(option: str, value: str) -> None:
    if checks.address(option, value).version != 4:
        problem = f"{value} is IPv6, and the cluster's first IP version is IPv4"
        raise checks.invalid(option, problem, "leave it out: the node's own addresses are used")


def of_node(addresses: Sequence[str], pods: str) -> list[str]:
    """Of a node's addresses the first of each IP version that its pods have; a version that it lacks is left out."""
    found = []
    for version in versions(pods):
        matching = [item for item in addresses if ipaddress.ip_address(item).version == version]
        found += matching[:1]
    return found


def of_first_node(pods: str, configuration: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The pod ranges that the first node of a new cluster gets; [] where the user's configuration decides how they are cut.

    Kubernetes gives them in their order (kubernetes, pkg/controller/nodeipam/ipam/cidrset).
    """
    if _has_own_masks(configuration):
        return []
    return [str(next(item.subnets(new_prefix=NODE_LENGTH[item.version]))) for item in parse("pod_subnet", pods)]


def hidden(ranges: Mapping[str, str], routes: Sequence[IPNetwork], resolvers: Sequence[str]) -> tuple[str, ...]:
    """What of the machine's surroundings pods will not reach, as sentences: what lies in a range of the cluster."""
    found = []
    for option, value in ranges.items():
        for item in parse(option, value):
            servers = [text for text in resolvers if ipaddress.ip_address(text) in item]
            if servers:
                found.append(
                    f"{option}: the name server {', '.join(servers)} of this machine is in {item}, so pods may not reach it."
                    " Fix: choose another range."
                )
            taken = [str(route) for route in routes if route.version == item.version and route.overlaps(item)]
            if taken and not servers:
                found.append(
                    f"{option}: this machine routes {', '.join(taken[:3])}{', …' if len(taken) > 3 else ''}, which overlaps"
                    f" {item}, so pods may not reach hosts there. Fix: choose another range, if they have to."
                )
    return tuple(dict.fromkeys(found))


def resolvers(text: str) -> tuple[str, ...]:
    """Name servers of a resolv.conf(5) outside this machine."""
    found = []
    for line in lines(text):
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                address = ipaddress.ip_address(words[1].partition("%")[0])
            except ValueError:
                continue
            if not address.is_loopback:
                found.append(str(address))
    return tuple(dict.fromkeys(found))
