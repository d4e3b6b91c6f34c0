# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network of a cluster with workers: every pod reaches every other, a service and DNS, also after nodes were
stopped, removed, created again or joined by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import files_below

from ..conftest import ROOT
from .conftest import Client, Play, Played
from .workload import IMAGE, build

SITE = ROOT / "playbooks" / "site.yml"
TEARDOWN = ROOT / "playbooks" / "teardown.yml"
SECONDS = 240
PROGRAM = "/usr/local/lib/nodeforge.kic/network"

WORKLOAD = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {"name": "web"},
                "spec": {
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {
                        "metadata": {"labels": {"app": "web"}},
                        "spec": {
                            "containers": [{"name": "web", "image": IMAGE, "imagePullPolicy": "Never"}],
                            "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
                            "terminationGracePeriodSeconds": 1,
                        },
                    },
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
            },
        ],
    }
)


@dataclass
class Nodes:
    """A cluster with a pod on each node."""

    name: str
    podman: Client
    play: Play
    variables: dict[str, Any]
    archive: Path

    @property
    def plane(self) -> str:
        """The control plane."""
        return f"{self.name}-control-plane-1"

    def site(self, **variables: Any) -> Played:
        """Run site.yml."""
        return self.play(SITE, **{**self.variables, **variables})

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """The control plane's own kubectl."""
        interactive = ["--interactive"] if stdin is not None else []
        return self.podman.run(
            "exec", *interactive, self.plane, "kubectl", *arguments, stdin=stdin, check=check
        ).stdout.strip()

    def take_image(self, node: str) -> None:
        """Give a node the image of the pods."""
        self.podman.run("cp", str(self.archive), f"{node}:/var/lib/web.tar")
        self.podman.run("exec", node, "ctr", "-n", "k8s.io", "images", "import", "/var/lib/web.tar")

    def pods(self) -> dict[str, str]:
        """Names of the pods that are ready, with their addresses; one of each node."""
        items = json.loads(self.kubectl("get", "pods", "--selector=app=web", "--output=json"))["items"]
        return {
            item["metadata"]["name"]: item["status"].get("podIP", "")
            for item in items
            if all(one["ready"] for one in item["status"].get("containerStatuses") or [{"ready": False}])
        }

    def everyone_reaches_everyone(self, count: int) -> None:
        """Each pod reaches each other by its address, and a service by its name. States and addresses of before a start
        are replaced a while after it."""
        deadline, said = time.monotonic() + SECONDS, ["nothing tried"]
        while said:
            assert time.monotonic() < deadline, said
            pods = self.pods()
            said = [] if len(pods) == count else [f"ready: {pods}"]
            urls = [f"http://{address}:8080/" for address in pods.values()]
            for pod in pods if not said else ():
                for url in (*urls, "http://web.default.svc.cluster.local/"):
                    said += self._asked(pod, url)
            if said:
                time.sleep(1)

    def _asked(self, pod: str, url: str) -> list[str]:
        done = self.podman.run("exec", self.plane, "kubectl", "exec", pod, "--", "/web", "get", url, check=False)
        return [] if "hello from web-" in done.stdout else [f"{pod} to {url}: {done.stdout}{done.stderr}"]

    def routes(self, node: str) -> list[str]:
        """Ranges of other nodes that a node has routes to."""
        text = self.podman.out("exec", node, "ip", "-4", "route", "show", "proto", "76")
        return sorted(line.split()[0] for line in text.splitlines())


@pytest.fixture
def nodes(
    request: pytest.FixtureRequest,
    podman: Client,
    play: Play,
    node_image: str,
    unique: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Nodes]:
    """A control plane and as many workers as the test asks for, from nothing, with a pod on each."""
    name, workers = unique("nodes"), request.param
    variables = {
        "kic_cluster_name": name,
        "kic_cluster_workers": workers,
        "kic_cluster_image": node_image,
        "kic_image_name": node_image,
        "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig"),
        "kic_engine": "podman",
    }
    (tmp_path / "web.tar").write_bytes(build(tmp_path))
    found = Nodes(name, podman, play, variables, tmp_path / "web.tar")
    try:
        found.site()
        for node in (found.plane, *(f"{name}-worker-{number + 1}" for number in range(workers))):
            found.take_image(node)
        found.kubectl("apply", "--filename=-", stdin=WORKLOAD)
        yield found
    finally:
        play(TEARDOWN, kic_cluster_name=name)


def actions(played: Played) -> list[str]:
    """What a run did to the cluster."""
    return [action for result in played.results("kic_cluster") for action in result["actions"]]


def join_by_hand(nodes: Nodes, run_module: Callable[..., dict[str, Any]], image: str) -> str:
    """Create a node in the cluster's network and have it join as a user would type it."""
    name = f"{nodes.name}-own"
    made = run_module("oci_volume", name=name, cluster=nodes.name)
    assert not made.get("failed"), made
    made = run_module(
        "kic_node", name=name, cluster=nodes.name, role="worker", image=image, network=nodes.name,
        files=files_below(ROOT / "roles/kic_cluster/files/node"),
    )  # fmt: skip
    assert not made.get("failed"), made
    address = json.loads(nodes.podman.out("container", "inspect", nodes.plane))[0]["NetworkSettings"]["Networks"]
    hosts = f"{address[nodes.name]['IPAddress']} {nodes.name}.kic.internal"
    nodes.podman.run("exec", name, "sh", "-c", f"echo {hosts} >>/etc/hosts")
    command = nodes.podman.out("exec", nodes.plane, "kubeadm", "token", "create", "--print-join-command")
    nodes.podman.run("exec", name, *command.split(), "--skip-phases=preflight")
    return name


@pytest.mark.full("ten minutes: a cluster of three nodes whose nodes are stopped and removed")
@pytest.mark.parametrize("nodes", [2], indirect=True)
def test_nodes_that_stop_and_leave(nodes: Nodes) -> None:
    """Each pod reaches each other, a service and DNS: from nothing, after stops of a worker and of the control plane, and
    after a worker was replaced. Nothing of the pod network keeps running."""
    nodes.everyone_reaches_everyone(3)
    assert nodes.site().changed == []
    for node in (nodes.plane, f"{nodes.name}-worker-1"):
        processes = nodes.podman.out("exec", node, "ps", "-e", "-o", "args")
        assert "/usr/local/lib/nodeforge.kic/" not in processes
        assert nodes.podman.out("exec", node, PROGRAM, "status").startswith("fits ")
    for node in (f"{nodes.name}-worker-1", nodes.plane):
        nodes.podman.run("stop", node)
        played = nodes.site()
        assert [item for item in actions(played) if "pod" in item] == []
        nodes.everyone_reaches_everyone(3)

    gone = f"{nodes.name}-worker-2"
    nodes.kubectl("delete", "node", gone)
    nodes.podman.run("rm", "--force", "--time", "1", gone)
    nodes.podman.run("volume", "rm", gone)
    nodes.site()
    nodes.take_image(gone)
    nodes.everyone_reaches_everyone(3)


@pytest.mark.full("three minutes: a node that joins a cluster by hand; units prove it too")
@pytest.mark.parametrize("nodes", [0], indirect=True)
def test_a_node_that_joins_by_hand(nodes: Nodes, run_module: Callable[..., dict[str, Any]], node_image: str) -> None:
    """It has a range and breaks nothing; the next run takes it in, as its check mode says, and then nothing is left to do."""
    own = join_by_hand(nodes, run_module, node_image)
    deadline = time.monotonic() + SECONDS
    while not (ranges := nodes.kubectl("get", "node", own, "--output=jsonpath={.spec.podCIDR}", check=False)):
        assert time.monotonic() < deadline, "no range"
        time.sleep(0.5)
    # It has a range and no network yet, and the others have theirs as before.
    assert ranges not in nodes.routes(nodes.plane)
    foretold = nodes.play(SITE, "--check", **nodes.variables)
    played = nodes.site()
    expected = {f"connect pod network {name}" for name in (own, *(status["name"] for status in statuses(played)))}
    assert set(actions(foretold)) == set(actions(played)) == expected
    nodes.take_image(own)
    nodes.everyone_reaches_everyone(2)
    assert ranges in nodes.routes(nodes.plane) and len(nodes.routes(own)) == 1
    assert nodes.site().changed == []


def statuses(played: Played) -> list[dict[str, Any]]:
    """The nodes that a run has in Kubernetes."""
    (found,) = [result["cluster"] for result in played.results("kic_cluster") if result["cluster"]]
    return list(found["statuses"])


@pytest.mark.full("a cluster without a pod network, two minutes; units prove it too")
def test_without_a_pod_network(
    podman: Client, play: Play, node_image: str, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """A run ends when all nodes have registered, says what Ready waits for, and nothing of ours is written; a second run
    changes nothing."""
    name = unique("none")
    variables: dict[str, Any] = {
        "kic_cluster_name": name,
        "kic_cluster_workers": 1,
        "kic_cluster_pod_network": "none",
        "kic_cluster_image": node_image,
        "kic_image_name": node_image,
        "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig"),
        "kic_engine": "podman",
    }
    try:
        played = play(SITE, **variables)
        assert [(item["name"], item["ready"]) for item in statuses(played)] == [
            (f"{name}-control-plane-1", False),
            (f"{name}-worker-1", False),
        ]
        assert "Nodes become Ready when you have installed a pod network" in played.text
        for node in (f"{name}-control-plane-1", f"{name}-worker-1"):
            assert podman.out("exec", node, PROGRAM, "status") == "none"
            assert podman.out("exec", node, "ls", "/etc/cni/net.d") == ""
        assert play(SITE, **variables).changed == []
    finally:
        play(TEARDOWN, kic_cluster_name=name)
