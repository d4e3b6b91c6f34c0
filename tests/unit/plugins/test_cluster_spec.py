# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's declaration: all of its problems in one message, and what each of its parts is made from."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.arguments import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import ClusterSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._module import completed

PLANE, FIRST = "lab-control-plane-1", "lab-worker-1"
FILES = [{"path": "/usr/local/lib/nodeforge.kic/state", "content": "", "mode": "0755"}]


def spec(**given: Any) -> ClusterSpec:
    """The declaration of a cluster with one worker, from parameters as the module gets them."""
    defaults = {name: argument.get("default") for name, argument in CLUSTER.items()}
    own = {"name": "lab", "image": "localhost/node:1", "workers": 1, "node_files": FILES}
    assert not given.keys() - defaults.keys()
    return ClusterSpec.from_params({**defaults, **own, **given}, {}, completed)


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
