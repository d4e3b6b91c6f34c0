# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's declaration: all of its problems in one message, and what each of its parts is made from."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.arguments import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import NOTHING, There
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshot import Wanted
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import ClusterSpec, validate
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._module import completed

PLANE, FIRST = "lab-control-plane-1", "lab-worker-1"
PLANES = (PLANE, "lab-control-plane-2", "lab-control-plane-3")
BALANCER = "lab-load-balancer"
PROGRAM = {"path": "/usr/local/lib/nodeforge.kic/load-balancer", "content": "haproxy", "mode": "0755"}
FILES = [{"path": "/usr/local/lib/nodeforge.kic/state", "content": "", "mode": "0755"}]


def spec(there: There = NOTHING, **given: Any) -> ClusterSpec:
    """The declaration of a cluster with one worker, from parameters as the module gets them."""
    defaults = {name: argument.get("default") for name, argument in CLUSTER.items()}
    own = {"name": "lab", "image": "localhost/node:1", "workers": 1, "node_files": FILES}
    assert not given.keys() - defaults.keys()
    return ClusterSpec.from_params({**defaults, **own, **given}, {}, completed, there)


def test_each_node_has_its_part() -> None:
    """Network, volume, container and Kubernetes of a node go by its name, and the first has what others have not."""
    found = spec(node={"memory": "4g", "cpus": "1.5", "env": {"A": "1"}}, worker_labels={"tier": "db"})
    assert list(found.nodes) == list(found.volumes) == list(found.kubernetes) == [PLANE, FIRST]
    plane, worker = found.nodes[PLANE], found.nodes[FIRST]
    assert (plane.limits.memory, plane.limits.cpus, plane.role) == (4 << 30, 1.5, "control-plane")
    assert [item.port for item in plane.publish] == [6443] and worker.publish == ()
    assert worker.env == {"A": "1"} and plane.env["KUBECONFIG"] == "/etc/kubernetes/admin.conf"
    first, second = found.kubernetes[PLANE], found.kubernetes[FIRST]
    assert (first.state, second.state, second.control_plane) == ("initialized", "joined", PLANE)
    assert [item["name"] for item in first.manifests] == ["storage"] and not second.manifests
    assert (dict(first.labels), dict(second.labels)) == ({}, {"tier": "db"})
    assert [str(item) for item in found.network.avoid] == ["10.244.0.0/16", "10.96.0.0/16"]


@pytest.mark.parametrize("pod_network", ["kic", "none"])
def test_ready_is_for_our_own_pod_network(pod_network: str) -> None:
    """With another pod network nothing is written for one, and Ready is not waited for."""
    found = spec(pod_network=pod_network)
    plane = found.kubernetes[PLANE]
    assert [item.path for item in found.nodes[PLANE].files] == [FILES[0]["path"]]
    assert plane.wait is plane.pod_network is found.pod_network is (pod_network == "kic")


@pytest.mark.parametrize(("network", "given"), [({}, False), ({"mtu": None}, False), ({"mtu": 1400}, True)])
def test_whether_a_network_is_compared(network: dict[str, Any], given: bool) -> None:
    """One that was only chosen fits as it is."""
    assert spec(network=network).network_given is given


def test_all_problems_at_once() -> None:
    """Of the cluster, of its network and of its nodes, each with the name of the variable."""
    with pytest.raises(KicError) as caught:
        spec(network={"mtu": 20}, node={"memory": "4g", "ulimits": {"nofile": "x"}})
    text = str(caught.value)
    assert (
        "2 problems" in text and "kic_cluster_network.mtu: 20 is outside" in text and "kic_cluster_node.ulimits" in text
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"image": ""}, "kic_cluster_image: is empty"),
        ({"image": None, "workers": 100}, "kic_cluster_workers: 100"),
        ({"node": {"pids_limit": "many"}}, "kic_cluster_node: "),
        ({"node": {"publish": [{"protocol": "tcp"}]}}, "kic_cluster_node: missing required arguments: port"),
        ({"network": {"mtu": "large"}}, "kic_cluster_network: "),
    ],
    ids=["image", "image-and-more", "type", "suboption", "network"],
)
def test_problems(given: dict[str, Any], words: str) -> None:
    """What Ansible would say of another module's options is a problem of the option that holds them."""
    with pytest.raises(KicError) as caught:
        spec(**given)
    assert caught.value.diagnosis.id == "invalid_option" and words in str(caught.value)
    assert "kic_cluster_node.kic_cluster_node" not in str(caught.value)
    # The image is the cluster's: what is wrong with it is one problem.
    assert "kic_cluster_node.image" not in str(caught.value)


def test_problems_are_where_they_were_written() -> None:
    """Of each option of a node, in the variable that it is from, each once."""
    nodes = [{"name": "a", "role": "control-plane"}, {"name": "b", "pids_limit": "many"}, {"name": "c", "mounts": [{}]}]
    with pytest.raises(KicError) as caught:
        spec(workers=None, nodes=nodes, worker_node={"ulimits": {"nofile": "x"}}, node={"memory": "4g"})
    text = str(caught.value)
    assert "kic_cluster_nodes[1]: " in text and "kic_cluster_nodes[2]: " in text, text
    with pytest.raises(KicError) as caught:
        spec(workers=2, worker_node={"ulimits": {"nofile": "x"}}, node={"memory": "4g"})
    assert str(caught.value).count("kic_cluster_worker_node.ulimits") == 1, caught.value


def test_several_control_planes() -> None:
    """The first begins the cluster; the others join as control planes, by the first, and all know each other."""
    found = spec(control_planes=3, api_sans=["api.example.org"])
    assert (found.control_plane, found.planes, found.workers) == (PLANE, PLANES, (FIRST,))
    assert list(found.nodes) == list(found.volumes) == list(found.kubernetes) == [*PLANES, FIRST]
    kubernetes = [found.kubernetes[name] for name in (*PLANES, FIRST)]
    assert [item.state for item in kubernetes] == ["initialized", *["joined"] * 3]
    assert [item.is_plane for item in kubernetes] == [True, True, True, False]
    assert [item.record_state for item in kubernetes] == [*["initialized"] * 3, "joined"]
    assert {item.control_plane for item in kubernetes} == {PLANE} and {item.planes for item in kubernetes} == {PLANES}
    assert [item.shape.api_sans for item in kubernetes] == [*[("api.example.org",)] * 3, ()]
    assert [bool(item.manifests) for item in kubernetes] == [True, False, False, False]
    assert not any(item.shape.schedulable for item in kubernetes)


def test_without_workers_every_control_plane_takes_pods() -> None:
    """Those that join, too."""
    assert all(item.shape.schedulable for item in spec(control_planes=3, workers=0).kubernetes.values())


@pytest.mark.parametrize(
    ("given", "image"),
    [({}, "localhost/node:1"), ({"load_balancer_image": "localhost/haproxy:1"}, "localhost/haproxy:1")],
    ids=["of-the-nodes", "its-own"],
)
def test_load_balancer(given: dict[str, Any], image: str) -> None:
    """It is a container that is no machine: without privileges and volume, with its program and a configuration, and it takes
    the port of the API."""
    found = spec(control_planes=3, api_port=16443, api_address="0.0.0.0", node_files=[*FILES, PROGRAM], **given)
    balancer = found.balancer
    assert balancer is not None and list(found.containers) == [*found.nodes, BALANCER]
    assert (balancer.name, balancer.role, balancer.cluster, balancer.image) == (BALANCER, "load-balancer", "lab", image)
    assert (balancer.network, balancer.volume, balancer.command) == ("lab", None, (PROGRAM["path"],))
    assert balancer.privileged == "false"
    assert [(item.port, item.host_port, item.address) for item in balancer.publish] == [(6443, 16443, "0.0.0.0")]
    assert [item.path for item in balancer.files] == [PROGRAM["path"], "/etc/nodeforge.kic/haproxy.cfg"]
    assert [item.host_port for name in PLANES for item in found.nodes[name].publish] == [None, None, None]
    assert BALANCER not in found.volumes and BALANCER not in found.kubernetes


def test_one_control_plane_needs_no_load_balancer() -> None:
    """It offers the API itself."""
    found = spec(api_port=16443)
    assert found.balancer is None and found.containers == found.nodes
    assert [item.host_port for item in found.nodes[PLANE].publish] == [16443]


def test_a_control_plane_that_was_lost_joins_another_one() -> None:
    """The storage class, which goes with the one by which the API is asked, too."""
    there = There(planes=PLANES[1:], workers=(FIRST,), complete=PLANES[1:])
    found = spec(there, control_planes=3)
    states = {name: item.state for name, item in found.kubernetes.items()}
    assert found.control_plane == PLANES[1] and states[PLANES[1]] == "initialized"
    assert states[PLANE] == states[PLANES[2]] == states[FIRST] == "joined"
    assert [name for name, item in found.kubernetes.items() if item.manifests] == [PLANES[1]]


def test_the_api_may_be_asked_by_one_that_is_not_declared() -> None:
    """It has a part in Kubernetes then, and no other."""
    there = There(planes=PLANES, workers=(FIRST,), complete=PLANES[1:])
    found = spec(there, control_planes=1, prune=True)
    assert (found.control_plane, found.planes, found.balancer) == (PLANES[1], (PLANE,), None)
    assert list(found.nodes) == [PLANE, FIRST] and PLANES[1] in found.kubernetes
    assert found.kubernetes[PLANE].state == "joined"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"workers": None}, set()),
        ({}, {"worker"}),
        ({"control_planes": 1}, {"control-plane", "worker"}),
        ({"control_planes": 3, "workers": None}, {"control-plane"}),
        ({"workers": None, "nodes": [{"name": "a", "role": "control-plane"}]}, {"control-plane", "worker"}),
    ],
    ids=["no-number", "workers", "both", "control-planes", "by-name"],
)
def test_roles_that_are_counted(given: dict[str, Any], expected: set[str]) -> None:
    """Only of these a node can be too many."""
    assert spec(**given).counted == expected


def test_a_snapshot() -> None:
    """Of its own cluster, or of another one."""
    assert spec().snapshot is None
    assert spec(snapshot="one").snapshot == Wanted("lab", "one")
    assert spec(snapshot="origin/one", state="present").snapshot == Wanted("origin", "one")
    found = spec(snapshot="lab/one", state="restored")
    assert (found.state, found.snapshot) == ("restored", Wanted("lab", "one"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"state": "restored"}, "kic_cluster_snapshot: is needed for the state restored"),
        ({"snapshot": ""}, "kic_cluster_snapshot: "),
        ({"snapshot": "A b"}, "kic_cluster_snapshot: "),
        ({"snapshot": "../one"}, "kic_cluster_snapshot: "),
        ({"snapshot": "a/b/c", "state": "restored"}, "kic_cluster_snapshot: "),
        ({"snapshot": "origin/one", "state": "restored"}, "kic_cluster_snapshot: it is one of the cluster origin"),
    ],
)
def test_a_snapshot_that_is_none(given: dict[str, Any], words: str) -> None:
    """It is said on the controller, before anything is begun."""
    params = {name: argument.get("default") for name, argument in CLUSTER.items()}
    with pytest.raises(KicError) as caught:
        validate({**params, "name": "lab", "image": "localhost/node:1", "node_files": FILES, **given}, completed)
    assert caught.value.diagnosis.id == "invalid_option" and words in str(caught.value)
    assert str(caught.value).count("kic_cluster_snapshot: ") == 1


@pytest.mark.parametrize(
    "given", [{"workers": float("inf")}, {"kubeconfig": True}, {"network": {"mtu": float("inf")}}], ids=str
)
def test_values_that_ansible_does_not_expect(given: dict[str, Any]) -> None:
    """.inf for a whole number, and a flag for a mapping, are what the user wrote, and no defect of the collection."""
    with pytest.raises(KicError) as caught:
        validate(completed(CLUSTER, {"name": "lab", "image": "localhost/node:1", **given}, "kic_cluster"), completed)
    assert caught.value.diagnosis.id == "invalid_option" and "kic_cluster" in caught.value.diagnosis.cause


@pytest.mark.parametrize(
    ("given", "module"),
    [
        ({"node": {"tmpfs": ["/a"]}}, "kic_node"),
        ({"network": {"mtu": "big"}}, "oci_network"),
        ({"workers": "two"}, "kic_cluster"),
    ],
    ids=["node", "network", "cluster"],
)
def test_values_of_another_type(given: dict[str, Any], module: str) -> None:
    """The fix is a command that shows what the option takes."""
    with pytest.raises(KicError) as caught:
        validate(completed(CLUSTER, {"name": "lab", "image": "localhost/node:1", **given}, "kic_cluster"), completed)
    assert caught.value.diagnosis.fix.endswith(f"ansible-doc nodeforge.kic.{module}")


@pytest.mark.parametrize("state", ["absent", "stopped", "paused"])
def test_states_without_a_snapshot(state: str) -> None:
    """What is requested of a cluster that is there is no matter for them."""
    params = {name: argument.get("default") for name, argument in CLUSTER.items()}
    validate({**params, "name": "lab", "state": state, "snapshot": "A b"}, completed)


def test_a_control_plane_of_a_clone_that_is_not_declared() -> None:
    """The API may be asked by it: it has its own name."""
    names = {name: name.replace("lab", "origin") for name in (*PLANES, FIRST)}
    there = There(planes=PLANES, workers=(FIRST,), complete=PLANES[1:], node_names=names)
    found = spec(there, control_planes=1)
    assert {name: item.registered for name, item in found.kubernetes.items()} == {
        name: names[name] for name in (PLANE, FIRST, PLANES[1])
    }
    assert {name: found.node_name(name) for name in names} == names
    assert found.containers_of({"origin-control-plane-3": 1}) == {PLANES[2]: 1}
