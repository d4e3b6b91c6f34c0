# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nodes of a cluster from the variables of the role, and what is said of variables that cannot be."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import NODE_OPTIONS, There
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.layout import layout
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError

from .support import fails

ROOT = Path(__file__).resolve().parents[3]
GIVEN: dict[str, Any] = {
    "name": "lab",
    "control_planes": None,
    "workers": 0,
    "kubernetes_version": None,
    "pod_subnet": "10.244.0.0/16",
    "service_subnet": "10.96.0.0/16",
    "network": {},
    "node": {},
    "api_address": "127.0.0.1",
    "api_port": None,
    "api_sans": [],
    "configuration": {},
    "patches": {},
    "timeout": 600,
    "engine_facts": {},
}
FACTS = {"version": "4.3.1", "cpus": 4, "memory": 8 << 30}
ENV = {"KUBECONFIG": "/etc/kubernetes/admin.conf"}
API = {"port": 6443, "protocol": "tcp", "address": "127.0.0.1"}
BALANCER = "lab-load-balancer"


def test_one_node() -> None:
    """The defaults are one control plane that publishes the API on a port to be chosen."""
    assert layout(GIVEN) == {
        "nodes": [
            {
                "name": "lab-control-plane-1",
                "role": "control-plane",
                "publish": [API],
                "env": ENV,
                "options": {},
                "source": "kic_cluster_node",
                "sources": {},
            }
        ],
        "control_plane": "lab-control-plane-1",
        "control_planes": ["lab-control-plane-1"],
        "workers": [],
        "balancer": None,
        "avoid": ["10.244.0.0/16", "10.96.0.0/16"],
        "labels": {"lab-control-plane-1": {}},
        "taints": {"lab-control-plane-1": []},
        "pod_network": True,
        "no_proxy": [
            *("lab.kic.internal", "lab-control-plane-1", "10.244.0.0/16", "10.96.0.0/16"),
            *(".svc", ".svc.cluster.local", ".cluster.local"),
        ],
    }


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        pytest.param((), [], id="new"),
        pytest.param(("lab-worker-10", "lab-worker-2"), ["lab-worker-2", "lab-worker-10"], id="as-it-is"),
        pytest.param(("own", "lab-worker-0", "lab-worker-1-old", "my-lab-worker-1"), [], id="by-hand"),
    ],
)
def test_workers_as_they_are(there: tuple[str, ...], expected: list[str]) -> None:
    """Without a number they are those that are there and have a name as a number would give it."""
    found = There(workers=there)
    assert layout({**GIVEN, "workers": None, "there": found})["workers"] == expected
    assert layout({**GIVEN, "workers": 0, "there": found})["workers"] == []


def test_workers() -> None:
    """Workers are numbered from one and publish nothing; the user's ports lead to the control plane."""
    web = {"port": 80, "host_port": 8080}
    found = layout({**GIVEN, "workers": 2, "node": {"publish": [web]}})
    shown = ("name", "role", "publish", "env")
    assert [{key: item[key] for key in shown} for item in found["nodes"]] == [
        {"name": "lab-control-plane-1", "role": "control-plane", "publish": [API, web], "env": ENV},
        {"name": "lab-worker-1", "role": "worker", "publish": [], "env": {}},
        {"name": "lab-worker-2", "role": "worker", "publish": [], "env": {}},
    ]
    assert found["workers"] == ["lab-worker-1", "lab-worker-2"]


def test_options_of_a_role() -> None:
    """Those of a role are over those for all nodes; a mapping is merged. A worker needs less memory than a control plane."""
    given = {
        "workers": 2,
        "node": {"memory": "2g", "env": {"A": "1", "B": "1"}, "cpus": 1},
        "control_plane_node": {"cpus": 2, "publish": [{"port": 80, "host_port": 80}]},
        "worker_node": {"memory": "512m", "env": {"B": "2"}, "publish": [{"port": 9000}]},
    }
    plane, first, second = layout({**GIVEN, **given})["nodes"]
    assert plane["options"] == {"memory": "2g", "cpus": 2} and plane["publish"][1:] == [{"port": 80, "host_port": 80}]
    assert first["options"] == second["options"] == {"memory": "512m", "cpus": 1}
    assert first["env"] == {"A": "1", "B": "2"} and first["publish"] == [{"port": 9000}]
    assert (plane["source"], first["source"]) == ("kic_cluster_control_plane_node", "kic_cluster_worker_node")
    assert first["sources"]["cpus"] == "kic_cluster_node"


def test_name_of_digits() -> None:
    """What YAML takes for a number is a name all the same."""
    found = layout({**GIVEN, "workers": None, "nodes": [PLANE_ITEM, {"name": 1}]})
    assert found["workers"] == ["1"] and found["nodes"][1]["name"] == "1"


def test_nodes_by_name() -> None:
    """Each with options of its own over those of its role; the control plane is the first, and the others keep their order."""
    nodes = [
        {"name": "big", "memory": "8g", "labels": {"tier": "db"}},
        {
            "name": "small",
            "memory": "256m",
            "taints": ["tier=small:NoSchedule"],
            "publish": [{"port": 80, "host_port": 8080}],
        },
        {"name": "brain", "role": "control-plane", "cpus": 2},
    ]
    found = layout(
        {**GIVEN, "workers": None, "nodes": nodes, "node": {"cpus": 1}, "worker_labels": {"a": "b", "tier": "x"}}
    )
    assert (found["control_plane"], found["workers"]) == ("brain", ["big", "small"])
    assert [item["options"] for item in found["nodes"]] == [
        {"cpus": 2},
        {"cpus": 1, "memory": "8g"},
        {"cpus": 1, "memory": "256m"},
    ]
    assert found["labels"] == {"brain": {}, "big": {"a": "b", "tier": "db"}, "small": {"a": "b", "tier": "x"}}
    assert found["taints"] == {"brain": [], "big": [], "small": ["tier=small:NoSchedule"]}
    assert found["nodes"][2]["publish"] == [{"port": 80, "host_port": 8080}]
    assert [item["source"] for item in found["nodes"]] == [f"kic_cluster_nodes[{at}]" for at in range(3)]


PLANE_ITEM = {"name": "brain", "role": "control-plane"}
EVEN, MANY = "an even number adds no safety to etcd's majority", "more than five make etcd slow"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"nodes": {"brain": {}}}, "kic_cluster_nodes: is not a list of mappings", id="no-list"),
        pytest.param({"nodes": []}, "kic_cluster_nodes: no control plane is declared", id="empty"),
        pytest.param(
            {"nodes": [{"role": "control-plane"}, {}]},
            "2 problems: (1) kic_cluster_nodes[0].name: is empty. (2) kic_cluster_nodes[1].name: is empty.",
            id="no-names",
        ),
        pytest.param({"nodes": [{"name": "a"}]}, "no control plane is declared", id="no-control-plane"),
        pytest.param(
            {"nodes": [PLANE_ITEM, {**PLANE_ITEM, "name": "b"}]}, f"2 control planes are declared, and {EVEN}", id="two"
        ),
        pytest.param(
            {"nodes": [{**PLANE_ITEM, "name": name} for name in "abcdefg"]},
            f"kic_cluster_nodes: 7 control planes are declared, and {MANY}",
            id="seven",
        ),
        pytest.param(
            {"nodes": [PLANE_ITEM, {"name": "lab-load-balancer"}]},
            "kic_cluster_nodes[1].name: it is that of the cluster's load balancer",
            id="load-balancer",
        ),
        pytest.param({"nodes": [PLANE_ITEM, {"name": "other-load-balancer"}]}, None, id="load-balancer-of-another"),
        pytest.param({"name": "l" * 50, "nodes": [PLANE_ITEM]}, None, id="long-name"),
        pytest.param(
            {"name": "l" * 50, "nodes": [{**PLANE_ITEM, "name": name} for name in "abc"]},
            "kic_cluster_name: ",
            id="long-name-with-a-load-balancer",
        ),
        pytest.param({"nodes": [PLANE_ITEM, {}]}, "kic_cluster_nodes[1].name: is empty", id="no-name"),
        pytest.param({"nodes": [PLANE_ITEM, {"name": "A b"}]}, "kic_cluster_nodes[1].name: 'A b'", id="name"),
        pytest.param({"nodes": [PLANE_ITEM, {"name": "brain"}]}, "brain is named more than once", id="twice"),
        pytest.param({"nodes": [PLANE_ITEM, {"name": "b", "role": "x"}]}, "kic_cluster_nodes[1].role: 'x'", id="role"),
        pytest.param({"nodes": [PLANE_ITEM], "workers": 1}, "kic_cluster_workers: kic_cluster_nodes", id="both"),
        pytest.param(
            {"nodes": [PLANE_ITEM], "control_planes": 1},
            "kic_cluster_control_planes: kic_cluster_nodes",
            id="both-planes",
        ),
        pytest.param(
            {"nodes": [PLANE_ITEM, {"name": "b", "memry": 1}]},
            "kic_cluster_nodes[1].memry: is not an option",
            id="option",
        ),
        pytest.param(
            {"nodes": [{**PLANE_ITEM, "memory": "1g"}]}, "kic_cluster_nodes[0].memory: 1g is less", id="little-memory"
        ),
        pytest.param(
            {"control_plane_node": {"memory": "1g"}},
            "kic_cluster_control_plane_node.memory: 1g is less",
            id="of-the-role",
        ),
        pytest.param({"node": {"memory": "1g"}}, "workers alone: kic_cluster_worker_node", id="of-all"),
        pytest.param(
            {"nodes": [PLANE_ITEM, {"name": "b", "labels": {"a b": "c"}}]},
            "kic_cluster_nodes[1].labels: 'a b'",
            id="label",
        ),
        pytest.param(
            {"nodes": [PLANE_ITEM, {"name": "b", "taints": ["x"]}]},
            "kic_cluster_nodes[1].taints: 'x' is not",
            id="taint",
        ),
        pytest.param(
            {"nodes": [PLANE_ITEM, {"name": "b", "taints": {"x": "y"}}]},
            "kic_cluster_nodes[1].taints: is not a list",
            id="map",
        ),
        pytest.param(
            {"nodes": [PLANE_ITEM, {"name": "b", "taints": True}]},
            "kic_cluster_nodes[1].taints: is not a list",
            id="flag",
        ),
        pytest.param({"nodes": [PLANE_ITEM, {"name": 1}]}, None, id="number-as-name"),
        pytest.param(
            {"nodes": [PLANE_ITEM, {"name": ["a"]}]}, "kic_cluster_nodes[1].name: \"['a']\"", id="list-as-name"
        ),
        pytest.param({"worker_node": []}, None, id="null-is-nothing"),
        pytest.param({"worker_node": [1]}, "kic_cluster_worker_node: is not a mapping", id="no-mapping"),
        pytest.param(
            {"workers": 2, "worker_node": {"publish": [{"port": 80, "host_port": 80}]}},
            "kic_cluster_worker_node.publish: its host_port can lead to one node",
            id="one-port-of-two",
        ),
        pytest.param({"workers": 1, "worker_node": {"publish": [{"port": 80, "host_port": 80}]}}, None, id="one-port"),
        pytest.param({"drain_timeout": 0}, "kic_cluster_drain_timeout: is not a time", id="drain-timeout"),
    ],
)
def test_declared_nodes(given: dict[str, Any], said: str | None) -> None:
    """What cannot be is refused where the user wrote it."""
    given = {**GIVEN, **({"workers": None} if "workers" not in given else {}), **given}
    if said is None:
        layout(given)
        return
    with fails("invalid_option", said):
        layout(given)


def planes(*numbers: int) -> tuple[str, ...]:
    """Names of control planes."""
    return tuple(f"lab-control-plane-{number}" for number in numbers)


@pytest.mark.parametrize("number", [1, 3, 5, "3"])
def test_numbers_of_control_planes(number: Any) -> None:
    """An odd number is taken. Each publishes its API on a port that is chosen, and is set up alike."""
    found = layout({**GIVEN, "control_planes": number})
    expected = planes(*range(1, int(number) + 1))
    assert (found["control_plane"], found["control_planes"]) == (expected[0], [*expected])
    assert [item["name"] for item in found["nodes"]] == [*expected]
    assert all(item["publish"] == [API] and item["env"] == ENV for item in found["nodes"])
    assert found["balancer"] == (None if int(number) == 1 else {"name": BALANCER, "publish": [API]})


@pytest.mark.parametrize(
    ("there", "given", "expected"),
    [
        pytest.param((), {}, planes(1), id="new"),
        pytest.param(planes(1, 2, 3), {}, planes(1, 2, 3), id="as-it-is"),
        pytest.param(planes(2, 3), {}, planes(1, 2, 3), id="first-lost"),
        pytest.param(planes(3, 1), {}, planes(1, 2, 3), id="one-between-lost"),
        pytest.param(planes(1, 2), {}, planes(1, 2, 3), id="last-lost"),
        pytest.param(planes(10, 2, 1), {}, planes(1, 2, 10), id="by-name-before"),
        pytest.param(("brain",), {}, planes(1), id="by-hand"),
        pytest.param(planes(1), {"control_planes": 3}, planes(1, 2, 3), id="more"),
        pytest.param(planes(1, 2, 3), {"control_planes": 1}, planes(1), id="fewer"),
    ],
)
def test_control_planes_as_they_are(there: tuple[str, ...], given: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Without a number they are as many as the highest number of those that are there, made odd, as one that was lost is still a
    member of etcd; in a new cluster it is one."""
    found = layout({**GIVEN, **given, "there": There(planes=there)})
    assert tuple(item["name"] for item in found["nodes"]) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"control_planes": 1}, planes(1, 2, 3), id="stay"),
        pytest.param({"control_planes": 1, "prune": True}, planes(1), id="leave"),
        pytest.param({"prune": True}, planes(1, 2, 3), id="no-number"),
        pytest.param({"nodes": [{"name": planes(2)[0], "role": "control-plane"}]}, planes(2, 1, 3), id="list-stay"),
        pytest.param(
            {"nodes": [{"name": planes(2)[0], "role": "control-plane"}], "prune": True}, planes(2), id="list-leave"
        ),
    ],
)
def test_control_planes_that_stay(given: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Those that are not declared are control planes until they leave, so that there is a load balancer as long."""
    there = There(planes=planes(1, 2, 3), complete=planes(1, 2, 3))
    found = layout({**GIVEN, "workers": None, **given, "there": there})
    assert tuple(found["control_planes"]) == expected
    assert (found["balancer"] is not None) is (len(expected) > 1)


@pytest.mark.parametrize(
    ("complete", "given", "expected"),
    [
        pytest.param((), {"control_planes": 3}, planes(1), id="none-is-complete"),
        pytest.param(planes(2, 1, 3), {"control_planes": 3}, planes(2), id="first-that-is-complete"),
        pytest.param(planes(3), {"control_planes": 3}, planes(3), id="the-first-was-lost"),
        pytest.param(planes(3, 1), {"control_planes": 1}, planes(1), id="a-declared-one-first"),
        pytest.param(planes(3), {"control_planes": 1}, planes(3), id="no-declared-one-is-complete"),
    ],
)
def test_which_control_plane_is_asked(
    complete: tuple[str, ...], given: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """One that has what the cluster is, a declared one before others; a cluster is begun once."""
    there = There(planes=planes(1, 2, 3), complete=complete)
    assert layout({**GIVEN, **given, "there": there})["control_plane"] == expected[0]


PORT = {**API, "host_port": 16443}


@pytest.mark.parametrize(
    ("number", "ports", "of_planes", "of_balancer"),
    [
        pytest.param(1, {}, PORT, None, id="one"),
        pytest.param(3, {}, API, PORT, id="three"),
        pytest.param(3, {planes(1)[0]: 40000}, API, PORT, id="one-more-than-that-with-another-port"),
        pytest.param(3, {planes(1)[0]: 16443}, API, API, id="kept-by-a-control-plane"),
        pytest.param(3, {planes(1)[0]: 40000, BALANCER: 16443}, API, PORT, id="three-again"),
        pytest.param(1, {planes(1)[0]: 40000, BALANCER: 16443}, API, PORT, id="balancer-stays-for-its-port"),
        pytest.param(1, {planes(1)[0]: 40000, BALANCER: 40001}, PORT, None, id="balancer-with-another-port"),
        pytest.param(1, {planes(1)[0]: 16443, BALANCER: 40001}, PORT, None, id="back-to-the-port-of-the-first"),
    ],
)
def test_port_of_the_api(
    number: int, ports: dict[str, int], of_planes: dict[str, Any], of_balancer: dict[str, Any] | None
) -> None:
    """The port that is requested is the load balancer's where there is one, unless a control plane has it since before. When
    the number goes back to one, the load balancer stays where it alone has that port."""
    there = There(planes=planes(1), complete=planes(1), api_ports=ports)
    given = {**GIVEN, "control_planes": number, "prune": True, "api_port": "16443", "there": there}
    found = layout(given)
    assert all(item["publish"] == [of_planes] for item in found["nodes"])
    assert (found["balancer"] or {}).get("publish") == (of_balancer and [of_balancer])


def test_without_a_port_no_balancer_stays() -> None:
    """Which port it had does not matter then."""
    there = There(planes=planes(1), complete=planes(1), api_ports={planes(1)[0]: 40000, BALANCER: 40001})
    assert layout({**GIVEN, "control_planes": 1, "there": there})["balancer"] is None


def test_environment() -> None:
    """The user's variables are on every node, and on the control plane next to or instead of ours."""
    first, second = layout({**GIVEN, "workers": 1, "node": {"env": {"A": "1"}}})["nodes"]
    assert (first["env"], second["env"]) == ({**ENV, "A": "1"}, {"A": "1"})
    (only,) = layout({**GIVEN, "node": {"env": {"KUBECONFIG": "/x"}}})["nodes"]
    assert only["env"] == {"KUBECONFIG": "/x"}


def test_dual_stack_ranges_are_avoided() -> None:
    """The cluster's network must stay clear of every range of pods and services."""
    given = {**GIVEN, "pod_subnet": "10.244.0.0/16,fd00:1::/56", "service_subnet": "10.96.0.0/16,fd00:2::/112"}
    assert layout(given)["avoid"] == ["10.244.0.0/16", "fd00:1::/56", "10.96.0.0/16", "fd00:2::/112"]


def test_api_is_published_where_it_was_asked_for() -> None:
    """Address and port of the API are those of the variables, numbers or text."""
    given = {**GIVEN, "api_address": "192.0.2.7", "api_port": "16443"}
    (node,) = layout(given)["nodes"]
    assert node["publish"] == [{"port": 6443, "protocol": "tcp", "address": "192.0.2.7", "host_port": 16443}]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"workers": "3"}, id="number-as-text"),
        pytest.param({"workers": 99}, id="most-workers"),
        pytest.param({"name": "l" * (63 - len("-control-plane-1"))}, id="longest-name"),
        pytest.param({"kubernetes_version": "1.35.4"}, id="version"),
        pytest.param(
            {"network": {"subnet": "192.168.200.0/24", "gateway": "192.168.200.1", "subnet6": "fd00:9::/64"}},
            id="network",
        ),
        pytest.param({"network": {"subnet6": "none"}}, id="no-ipv6"),
        pytest.param({"network": None, "node": None}, id="null"),
        pytest.param({"api_address": "::1", "api_port": 65535}, id="api-on-ipv6"),
        pytest.param({"node": {"memory": "2g", "cpus": 4}, "engine_facts": FACTS}, id="node-fits"),
        pytest.param({"node": {"memory": "64g", "cpus": 64}}, id="machine-not-known"),
        pytest.param(
            {"node": {"cpus": 64}, "engine_facts": {**FACTS, "version": "0", "cpus": 1, "memory": 1}},
            id="no-engine-yet",
        ),
        pytest.param({"configuration": [{"kind": "KubeletConfiguration", "maxPods": 50}]}, id="documents"),
        pytest.param({"patches": {"etcd.json": {"a": 1}}}, id="patches"),
    ],
)
def test_taken(changes: dict[str, Any]) -> None:
    """What is possible is taken."""
    found = layout({**GIVEN, **changes})
    assert len(found["nodes"]) == 1 + int(changes.get("workers", 0))


@pytest.mark.parametrize(
    ("changes", "variable", "said"),
    [
        pytest.param({"name": ""}, "name", "is empty", id="name-empty"),
        pytest.param({"name": "Lab"}, "name", "'Lab' is not a host name", id="name-upper-case"),
        pytest.param({"name": "a_b"}, "name", "'a_b' is not a host name", id="name-underscore"),
        pytest.param({"name": "../x"}, "name", "'../x' is not a name", id="name-path"),
        pytest.param({"name": "l" * 48}, "name", "48 characters, at most 47", id="name-long"),
        pytest.param({"name": 7.5}, "name", "'7.5' is not a host name", id="name-number"),
        *(
            pytest.param(
                {"control_planes": number},
                "control_planes",
                f"{number} control planes are declared, and {why}",
                id=f"{number!r}-control-planes",
            )
            for number, why in ((2, EVEN), (4, EVEN), ("2", EVEN), (6, EVEN), (7, MANY), ("9", MANY))
        ),
        pytest.param({"control_planes": 0}, "control_planes", "0 is not a number from 1 to 99", id="no-control-plane"),
        pytest.param({"control_planes": "one"}, "control_planes", "'one' is not a number", id="control-planes-word"),
        pytest.param({"workers": -1}, "workers", "-1 is not a number from 0 to 99", id="workers-negative"),
        pytest.param({"workers": 100}, "workers", "100 is not a number from 0 to 99", id="workers-many"),
        pytest.param({"workers": "two"}, "workers", "'two' is not a number", id="workers-word"),
        pytest.param({"kubernetes_version": "1.35"}, "kubernetes_version", "'v1.35' is not a version", id="version"),
        pytest.param({"pod_subnet": "10.244.0.0"}, "pod_subnet", "'10.244.0.0' is not a CIDR", id="pods"),
        pytest.param(
            {"pod_subnet": "10.96.0.0/12"}, "pod_subnet", "overlaps the service range", id="pods-and-services"
        ),
        pytest.param({"service_subnet": "10.96.0.1/16"}, "service_subnet", "has host bits set", id="services"),
        pytest.param({"timeout": 0}, "timeout", "is not a time", id="timeout"),
        pytest.param(
            {"timeout": "soon"},
            "timeout",
            "'soon' is not a number",
            id="timeout-word",
        ),
        pytest.param({"configuration": "x"}, "configuration", "is neither a mapping of kinds", id="configuration"),
        pytest.param({"configuration": {"Pod": {}}}, "configuration", "'Pod' is not a kind", id="configuration-kind"),
        pytest.param({"patches": {"x.txt": ""}}, "patches", "'x.txt' is not a name that kubeadm reads", id="patches"),
        pytest.param({"patches": "x"}, "patches", "is not a mapping", id="patches-are-text"),
        pytest.param({"patches": ["etcd.json"]}, "patches", "is not a mapping", id="patches-are-a-list"),
        pytest.param({"network": {"subnet": "192.168.0.1"}}, "network.subnet", "is not a CIDR", id="subnet"),
        pytest.param({"network": {"subnet": "fd00::/64"}}, "network.subnet", "is not IPv4", id="subnet-version"),
        pytest.param({"network": {"subnet6": "10.0.0.0/24"}}, "network.subnet6", "is not IPv6", id="subnet6-version"),
        pytest.param(
            {"network": {"subnet": "10.244.7.0/24"}},
            "network.subnet",
            "10.244.0.0/16, which is kic_cluster_pod_subnet",
            id="in-the-pods",
        ),
        pytest.param(
            {"network": {"subnet": "10.0.0.0/8"}, "pod_subnet": "172.16.0.0/16"},
            "network.subnet",
            "10.96.0.0/16, which is kic_cluster_service_subnet",
            id="around-the-services",
        ),
        pytest.param(
            {"network": {"subnet6": "fd00:1::/64"}, "pod_subnet": "10.244.0.0/16,fd00:1::/56"},
            "network.subnet6",
            "overlaps fd00:1::/56",
            id="ipv6-in-the-pods",
        ),
        pytest.param(
            {"network": {"subnet": "192.168.200.0/24", "gateway": "192.168.201.1"}},
            "network.gateway",
            "is outside",
            id="gateway",
        ),
        pytest.param(
            {"network": {"subnet": "192.168.200.0/24", "gateway": "x"}},
            "network.gateway",
            "'x' is not an IP address",
            id="gateway-word",
        ),
        pytest.param({"api_address": "localhost"}, "api_address", "'localhost' is not an IP address", id="api-address"),
        pytest.param({"api_sans": ["bad name"]}, "api_sans", "'bad name' is neither an IP", id="api-san-with-space"),
        pytest.param({"api_sans": ["Lab.example"]}, "api_sans", "a DNS name in lower case", id="api-san-capital"),
        pytest.param({"api_sans": ["https://lab.example:6443"]}, "api_sans", "is neither an IP", id="api-san-address"),
        pytest.param(
            {"configuration": {"ClusterConfiguration": {"apiServer": {"certSANs": ["a_b"]}}}},
            "configuration.ClusterConfiguration.apiServer.certSANs",
            "'a_b' is neither an IP address nor a DNS name",
            id="certificate-name",
        ),
        pytest.param({"api_port": 0}, "api_port", "0 is not a port", id="api-port-zero"),
        pytest.param({"api_port": 65536}, "api_port", "65536 is not a port", id="api-port-high"),
        pytest.param({"api_port": "https"}, "api_port", "'https' is not a port", id="api-port-word"),
        pytest.param({"node": "x"}, "node", "is not a mapping of options", id="node-is-text"),
        pytest.param({"node": ["memory"]}, "node", "is not a mapping of options", id="node-is-a-list"),
        pytest.param({"node": {"env": "x"}}, "node.env", "is not a mapping", id="env-is-text"),
        pytest.param({"node": {"env": ["A=1"]}}, "node.env", "is not a mapping", id="env-is-a-list"),
        pytest.param({"node": {"publish": 5}}, "node.publish", "is not a list", id="publish-is-a-number"),
        pytest.param({"node": {"publish": {"port": 80}}}, "node.publish", "is not a list", id="publish-is-a-mapping"),
        pytest.param({"node": {"cpus": "two"}}, "node.cpus", "'two' is not a number", id="cpus-word"),
        pytest.param(
            {"node": {"cpus": "two"}, "engine_facts": FACTS}, "node.cpus", "'two' is not a number", id="cpus-word-on-4"
        ),
        pytest.param({"node": {"name": "x"}}, "node.name", "is set by the role for each node", id="node-name"),
        pytest.param({"node": {"image": "x"}}, "node.image", "is set by the role for each node", id="node-image"),
        pytest.param({"node": {"memry": "2g"}}, "node.memry", "is not an option of kic_node", id="node-unknown"),
        pytest.param({"node": {"memory": "lots"}}, "node.memory", "'lots' is not a size", id="memory-word"),
        pytest.param({"node": {"memory": "1g"}}, "node.memory", "1g is less than the 1700 MB", id="memory-little"),
        pytest.param(
            {"node": {"memory": "9g"}, "engine_facts": FACTS}, "node.memory", "more than the 8192 MiB", id="memory-much"
        ),
        pytest.param(
            {"node": {"cpus": 5}, "engine_facts": FACTS}, "node.cpus", "5 is more than the 4 processors", id="cpus"
        ),
        pytest.param(
            {"engine_facts": {**FACTS, "memory": 1 << 30}},
            "node.memory",
            "this machine has 1024 MiB",
            id="machine-too-small",
        ),
    ],
)
def test_refused(changes: dict[str, Any], variable: str, said: str) -> None:
    """A variable that cannot be is named as the user wrote it, with what is wrong and a fix, and nothing else."""
    with pytest.raises(KicError) as caught:
        layout({**GIVEN, **changes})
    found = caught.value.diagnosis
    assert found.id == "invalid_option"
    assert found.cause.startswith(f"kic_cluster_{variable}: ")
    assert said in found.cause
    assert found.cause.count(f"kic_cluster_{variable}") == 1
    assert found.cause.endswith(".") and not found.cause.endswith("..")
    assert found.fix and found.output == ""


@pytest.mark.parametrize(
    ("option", "value", "problem", "fix"),
    [
        ("extraMounts", [], "is not an option of kic_node", "write mounts, each as {source: /srv, target"),
        ("ports", ["80"], "is not an option of kic_node", "write publish, each as {port: 80, host_port: 8080"),
        ("environment", {}, "is not an option of kic_node", "write env"),
        ("kubeadmConfigPatches", ["x"], "is not an option of kic_node", "kic_cluster_configuration"),
        ("mounts", [{"hostPath": "/a", "containerPath": "/b"}], "does not have source and target", "{source: /srv"),
        ("mounts", ["/a:/b"], "'/a:/b' does not have source and target", "write each as {source: /srv"),
        ("mounts", "/a:/b", "is not a list", "write it like mounts: [{source: /srv, target"),
        ("publish", "8080:80", "is not a list", "write it like publish: [{port: 80, host_port: 8080"),
        ("env", ["A=1"], "is not a mapping", "write it like env: {NAME: 'value'}"),
        ("memory", 2048, "2048 bytes is less than the 1700 MB", "set it to 2g or more"),
        ("publish", ["8080:80"], "'8080:80' does not have port", "write each as {port: 80, host_port: 8080"),
        ("publish", [{"containerPort": 80}], "does not have port", "write each as {port: 80, host_port: 8080"),
    ],
)
def test_words_of_others(option: str, value: Any, problem: str, fix: str) -> None:
    """As files of kind, flags of k3d and compose have them: what is meant here is said."""
    with pytest.raises(KicError) as caught:
        layout({**GIVEN, "node": {option: value}})
    found = caught.value.diagnosis
    assert found.cause.startswith(f"kic_cluster_node.{option}: ") and problem in found.cause and fix in found.fix


def test_all_problems_of_a_variable() -> None:
    """One message names each of them: nobody has to run once for each key that is misspelt."""
    node = {
        "memroy": "2g",
        "ports": [1],
        "volume": "x",
        "env": ["a"],
        "publish": ["80"],
        "cpus": "one",
        "memory": "2 gigs",
    }
    with pytest.raises(KicError) as caught:
        layout({**GIVEN, "node": node})
    found = caught.value.diagnosis
    for key in node:
        assert f"kic_cluster_node.{key}: " in found.cause, found.cause
    assert "write memory, or leave it out" in found.fix


def test_least_memory_is_kubeadms() -> None:
    """1700 MB is enough and a byte less is not, as kubeadm counts."""
    assert layout({**GIVEN, "node": {"memory": "1700000000"}})["nodes"]
    with pytest.raises(KicError):
        layout({**GIVEN, "node": {"memory": "1699999999"}})


def test_every_option_of_a_node_has_its_place() -> None:
    """Each option of the module kic_node is either for the user to set for all nodes or set by the role."""
    source = (ROOT / "plugins/modules/kic_node.py").read_text(encoding="utf-8")
    (text,) = [
        ast.literal_eval(item.value)
        for item in ast.parse(source).body
        if isinstance(item, ast.Assign)
        and isinstance(item.targets[0], ast.Name)
        and item.targets[0].id == "DOCUMENTATION"
    ]
    options = set(yaml.safe_load(text)["options"])
    assert options >= NODE_OPTIONS
    for option in sorted(options - NODE_OPTIONS - {"command"}):
        with pytest.raises(KicError, match="is set by the role"):
            layout({**GIVEN, "node": {option: "x"}})


FAMILIES = [
    pytest.param("10.244.0.0/16", "10.96.0.0/16", {}, "", id="ipv4"),
    pytest.param("10.244.0.0/16,fd00:1::/56", "10.96.0.0/16,fd00:2::/112", {}, "", id="dual"),
    pytest.param("10.244.0.0/16, fd00:1::/56", "10.96.0.0/16", {}, "", id="dual-pods-with-a-blank"),
    pytest.param("fd00:1::/56", "fd00:2::/112", {}, "kic_cluster_pod_subnet: fd00:1::/56 is IPv6 alone", id="ipv6"),
    pytest.param("10.244.0.0/16", "fd00:2::/112", {}, "kic_cluster_service_subnet: fd00:2::/112 is IPv6", id="mixed"),
    pytest.param("fd00:1::/56", "10.96.0.0/16", {}, "kic_cluster_pod_subnet: fd00:1::/56 is IPv6", id="mixed-other"),
    pytest.param(
        "fd00:1::/56,10.244.0.0/16",
        "fd00:2::/112,10.96.0.0/16",
        {},
        "(1) write it as 10.244.0.0/16,fd00:1::/56. (2) write it as 10.96.0.0/16,fd00:2::/112.",
        id="ipv6-first",
    ),
    pytest.param(
        "10.244.0.0/16", "10.96.0.0/16,fd00:2::/112", {}, "pod_subnet has no IPv6 range", id="services-of-no-pod"
    ),
    pytest.param(
        "10.244.0.0/16,fd00:1::/56",
        "10.96.0.0/16",
        {"network": {"subnet6": "none"}},
        "kic_cluster_network.subnet6: it is none",
        id="network-without-ipv6",
    ),
    pytest.param("10.244.0.0/25", "10.96.0.0/16", {}, "smaller than the /24 that each node gets", id="small-pods"),
    pytest.param("10.0.0.0/7", "172.16.0.0/16", {}, "10.0.0.0/7 is larger than Kubernetes divides", id="large-pods"),
    pytest.param("10.244.0.0/16,fd00::/40", "10.96.0.0/16", {}, "fd00::/40 is larger than", id="large-ipv6-pods"),
    pytest.param("10.244.0.0/16", "10.0.0.0/11", {}, "larger than Kubernetes takes for services", id="large-services"),
    pytest.param("10.244.0.0/16", "10.96.0.0/29", {}, "fewer than the 10 addresses", id="small-services"),
    pytest.param("10.244.0.0/24", "10.96.0.0/16", {"workers": 1}, "room for 1 nodes", id="no-range-for-the-worker"),
    pytest.param(
        "10.244.0.0/25",
        "10.96.0.0/16",
        {"configuration": {"ClusterConfiguration": {"controllerManager": {"extraArgs": {"node-cidr-mask-size": 26}}}}},
        "",
        id="own-mask",
    ),
    pytest.param(
        "10.244.0.0/16",
        "10.96.0.0/16",
        {"configuration": {"InitConfiguration": {"localAPIEndpoint": {"advertiseAddress": "fd00::2"}}}},
        "localAPIEndpoint.advertiseAddress: fd00::2 is IPv6",
        id="advertised",
    ),
    pytest.param(
        "10.244.0.0/16",
        "10.96.0.0/16",
        {"configuration": {"JoinConfiguration": {"nodeRegistration": {"kubeletExtraArgs": {"node-ip": "::1"}}}}},
        "kubeletExtraArgs: ::1 is IPv6",
        id="node-ip",
    ),
    pytest.param(
        "10.244.0.0/16",
        "10.96.0.0/16",
        {"configuration": {"ClusterConfiguration": {"networking": {"podSubnet": "fd00:1::/56"}}}},
        "kic_cluster_pod_subnet: fd00:1::/56 is IPv6 alone",
        id="in-the-configuration",
    ),
]


@pytest.mark.parametrize(("pods", "services", "changes", "said"), FAMILIES)
def test_address_families(pods: str, services: str, changes: dict[str, Any], said: str) -> None:
    """IP versions of pods, services, network and addresses fit each other, or are refused before anything is made."""
    given = {**GIVEN, "pod_subnet": pods, "service_subnet": services, **changes}
    if not said:
        assert layout(given)["avoid"] == [part.strip() for part in f"{pods},{services}".split(",")]
        return
    with pytest.raises(KicError) as caught:
        layout(given)
    assert caught.value.diagnosis.id == "invalid_option"
    assert said in str(caught.value)


def test_all_problems_at_once() -> None:
    """One message names every variable that cannot be used, each once and as the user wrote it."""
    with pytest.raises(KicError) as caught:
        layout(
            {
                **GIVEN,
                "name": "Lab",
                "workers": "two",
                "pod_subnet": "fd00:1::/56",
                "configuration": {"InitConfiguration": {"skipPhases": "x"}},
                "api_port": 0,
                "node": {"memry": "2g"},
                "timeout": "soon",
            }
        )
    cause = caught.value.diagnosis.cause
    assert cause.startswith("8 problems: ")
    for name in ("name", "workers", "pod_subnet", "service_subnet", "configuration.I", "api_port", "node.m", "timeout"):
        assert cause.count(f"kic_cluster_{name}") == 1, name


def test_numbers_of_both_roles_at_once() -> None:
    """Each is reported once, also where the other is no number either; with the numbers that are possible."""
    with fails(
        "invalid_option", f"2 control planes are declared, and {EVEN}", "'two' is not a number", "declare 1, 3 or 5"
    ):
        layout({**GIVEN, "control_planes": 2, "workers": "two"})
    with pytest.raises(KicError) as caught:
        layout({**GIVEN, "control_planes": "x", "workers": 100, "api_port": 0})
    cause = caught.value.diagnosis.cause
    assert cause.startswith("3 problems: ")
    assert [cause.count(f"kic_cluster_{name}") for name in ("control_planes", "workers", "api_port")] == [1, 1, 1]


def test_ranges_of_the_configuration_are_avoided() -> None:
    """Where the user's configuration names the ranges, the network stays clear of those."""
    networking = {"podSubnet": "10.1.0.0/16", "serviceSubnet": "10.2.0.0/16"}
    given = {**GIVEN, "configuration": {"ClusterConfiguration": {"networking": networking}}}
    assert layout(given)["avoid"] == ["10.1.0.0/16", "10.2.0.0/16"]
