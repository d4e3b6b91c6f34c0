# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person reads at the end."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.plugin_utils.cluster_summary import leftover, summary, table

RESULT: dict[str, Any] = {
    "engine": "podman",
    "control_plane": "lab-control-plane-1",
    "nodes": [
        {"name": "lab-control-plane-1", "role": "control-plane", "ip": "192.168.128.2", "state": "running"},
        {"name": "lab-worker-1", "role": "worker", "ip": "192.168.128.3", "state": "running"},
    ],
    "statuses": [
        {"name": "lab-control-plane-1", "ready": True, "version": "v1.35.4"},
        {"name": "lab-worker-1", "ready": False, "version": "v1.35.4"},
    ],
    "kubeconfig": "/home/ada/.kube/config",
    "context": "kic-lab",
}


def test_table() -> None:
    """Columns are as wide as their widest cell, and no line ends in blanks."""
    assert table([("A", "LONG", "C"), ("aaa", "b", "")]) == ["A     LONG   C", "aaa   b"]


def test_whole_summary() -> None:
    """The text has the nodes, and the lines that work without and with kubectl."""
    assert summary(RESULT, root=True).splitlines() == [
        "NODE                  ROLE            ADDRESS         STATUS     VERSION",
        "lab-control-plane-1   control-plane   192.168.128.2   Ready      v1.35.4",
        "lab-worker-1          worker          192.168.128.3   NotReady   v1.35.4",
        "",
        "The cluster, also where kubectl is not installed:",
        "  podman exec lab-control-plane-1 kubectl get nodes",
        "  podman exec lab-control-plane-1 kubectl get pods --all-namespaces",
        "With kubectl on this machine:",
        "  export KUBECONFIG=/home/ada/.kube/config",
        "  kubectl --context kic-lab get nodes",
    ]


def test_why_a_node_is_not_ready() -> None:
    """In kubelet's words, in one line below the table; a node that is Ready gives no reason."""
    why = "container runtime network not ready:\n NetworkReady=false"
    statuses = [{**RESULT["statuses"][0], "why": "kubelet is posting"}, {**RESULT["statuses"][1], "why": why}]
    lines = summary({**RESULT, "statuses": statuses}, root=True).splitlines()
    assert lines[3] == "lab-worker-1 is not Ready: container runtime network not ready: NetworkReady=false"
    assert lines[4] == "" and "posting" not in "".join(lines)


def test_sudo_for_others_than_root() -> None:
    """Who is not root needs sudo before the engine's name."""
    assert "  sudo podman exec lab-control-plane-1 kubectl" in summary(RESULT, root=False)
    assert "sudo" not in summary(RESULT, root=True)


def test_cluster_of_an_ordinary_user() -> None:
    """Who is not root needs no sudo for a cluster of their own, and root is told that it is not their."""
    for root in (True, False):
        found = summary({**RESULT, "rootless": True}, root=root)
        assert "The cluster, for the user whose it is and also where kubectl is not installed:" in found
        assert "  podman exec lab-control-plane-1 kubectl" in found


def test_path_with_blanks_is_quoted() -> None:
    """The line with the path can be typed as it is."""
    assert "  export KUBECONFIG='/home/a b/config'" in summary({**RESULT, "kubeconfig": "/home/a b/config"}, root=True)


def test_without_kubeconfig() -> None:
    """Without a kubeconfig only the line that needs none is shown."""
    found = summary({**RESULT, "kubeconfig": ""}, root=True)
    assert "podman exec" in found and "KUBECONFIG" not in found and "kic-lab" not in found


@pytest.mark.parametrize(
    "statuses",
    [[], [{}, None], [{"name": "lab-control-plane-1", "ready": False, "version": "v1.35.4"}]],
    ids=["none", "empty", "not-ready"],
)
def test_nothing_ready(statuses: list[Any]) -> None:
    """Where no node is Ready there is nothing to type."""
    found = summary({**RESULT, "statuses": statuses}, root=True)
    assert "podman" not in found and "kubectl" not in found
    assert "lab-control-plane-1" in found


def test_node_without_status() -> None:
    """A node that Kubernetes was not asked of shows its container's state, and a dash for what is not known."""
    nodes = [{"name": "lab-worker-1", "role": None, "ip": None, "state": "exited"}, {}, None]
    found = summary({**RESULT, "nodes": nodes, "statuses": []}, root=True).splitlines()
    assert len(found) == 2
    assert found[1].split() == ["lab-worker-1", "-", "-", "exited", "-"]


def test_nodes_that_are_not_named_any_more() -> None:
    """Each has the line that removes it; without any nothing is said."""
    assert leftover(RESULT, root=True) == "" == leftover({**RESULT, "surplus": []}, root=True)
    found = leftover({**RESULT, "surplus": ["lab-worker-2", "lab-worker-3"]}, root=False)
    assert "lab-worker-2, lab-worker-3. Fix: " in found
    assert "sudo podman exec lab-control-plane-1 kubectl drain lab-worker-3 --ignore-daemonsets" in found
    assert "sudo podman rm --force lab-worker-3; sudo podman volume rm lab-worker-3" in found


@pytest.mark.parametrize(
    ("surplus", "variables", "by_hand"),
    [
        pytest.param(["lab-worker-2"], "kic_cluster_workers", True, id="workers"),
        pytest.param(["lab-control-plane-2", "lab-control-plane-3"], "kic_cluster_control_planes", False, id="planes"),
        pytest.param(
            ["lab-control-plane-2", "lab-control-plane-3", "lab-worker-2"],
            "kic_cluster_control_planes and kic_cluster_workers",
            True,
            id="both",
        ),
    ],
)
def test_control_planes_that_are_not_named_any_more(surplus: list[str], variables: str, by_hand: bool) -> None:
    """Only workers can be removed by hand: etcd has to lose the member of a control plane first."""
    planes = [f"lab-control-plane-{number}" for number in (1, 2, 3)]
    found = leftover({**RESULT, "control_planes": planes, "surplus": surplus}, root=True)
    assert f"more nodes than {variables} says" in found and f"set {variables} to " in found
    assert "kic_cluster_prune=true" in found
    assert ("rm --force lab-worker-2" in found) is by_hand
    assert "lab-control-plane-2 --ignore" not in found and "--force lab-control-plane" not in found


def test_cluster_without_a_pod_network() -> None:
    """Its nodes are not Ready, and what to do about it is said."""
    statuses = [{"name": "lab-control-plane-1", "ready": False, "version": "v1.35.4"}]
    found = summary({**RESULT, "statuses": statuses, "pod_network": False}, root=True)
    assert "NotReady" in found and "installed a pod network" in found
    assert "  podman exec -i lab-control-plane-1 kubectl apply -f - <FILE" in found
    assert "pod network" not in summary({**RESULT, "statuses": statuses}, root=True)


def test_nodes_of_a_clone() -> None:
    """Their status is that of their names in Kubernetes, which is said next to those of the containers."""
    nodes = [
        {**item, "name": item["name"].replace("lab", "copy"), "node_name": item["name"]} for item in RESULT["nodes"]
    ]
    statuses = [RESULT["statuses"][0], {**RESULT["statuses"][1], "why": "no network yet"}]
    found = {**RESULT, "control_plane": "copy-control-plane-1", "nodes": nodes, "statuses": statuses}
    lines = summary(found, root=True).splitlines()
    assert lines[:4] == [
        "NODE                                         ROLE            ADDRESS         STATUS     VERSION",
        "copy-control-plane-1 (lab-control-plane-1)   control-plane   192.168.128.2   Ready      v1.35.4",
        "copy-worker-1 (lab-worker-1)                 worker          192.168.128.3   NotReady   v1.35.4",
        "lab-worker-1 is not Ready: no network yet",
    ]
    assert "  podman exec copy-control-plane-1 kubectl get nodes" in lines
    same = [{**item, "node_name": item["name"]} for item in RESULT["nodes"]]
    assert summary({**RESULT, "nodes": same}, root=True) == summary(RESULT, root=True)
