# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers that leave a cluster that lives: what is lost with them is refused, what is there is drained, and nothing of them
is left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..conftest import ROOT
from .conftest import Client, Play, Played
from .workload import IMAGE, build

SITE = ROOT / "playbooks" / "site.yml"
TEARDOWN = ROOT / "playbooks" / "teardown.yml"
SECONDS = 120


@dataclass
class Cluster:
    """A cluster on this machine's podman."""

    name: str
    podman: Client
    play: Play
    variables: dict[str, Any]

    @property
    def plane(self) -> str:
        """The control plane."""
        return f"{self.name}-control-plane-1"

    def worker(self, number: int) -> str:
        """A worker."""
        return f"{self.name}-worker-{number}"

    def site(self, *arguments: str, ok: bool = True, **variables: Any) -> Played:
        """Run site.yml."""
        return self.play(SITE, *arguments, ok=ok, **{**self.variables, **variables})

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """The control plane's own kubectl."""
        interactive = ["--interactive"] if stdin is not None else []
        return self.podman.run("exec", *interactive, self.plane, "kubectl", *arguments, stdin=stdin).stdout.strip()

    @staticmethod
    def of_nodes(played: Played) -> list[str]:
        """What a run did to nodes; what it did to the boot of the machine depends on the machine."""
        return [item for item in result(played)["actions"] if " boot unit " not in item]

    def nodes(self) -> dict[str, bool]:
        """The nodes of the API, and whether they take pods."""
        items = json.loads(self.kubectl("get", "nodes", "--output=json"))["items"]
        return {item["metadata"]["name"]: not item["spec"].get("unschedulable") for item in items}

    def until(self, what: Callable[[], bool]) -> None:
        """Wait for it."""
        deadline = time.monotonic() + SECONDS
        while not what():
            assert time.monotonic() < deadline, self.kubectl("get", "pods,pvc,nodes", "--output=wide")
            time.sleep(0.5)

    def running(self, app: str) -> bool:
        """Whether all pods of an application run."""
        text = self.kubectl("get", "pods", f"--selector=app={app}", "--output=jsonpath={.items[*].status.phase}")
        return set(text.split()) == {"Running"}


@pytest.fixture
def cluster(
    podman: Client, play: Play, node_image: str, unique: Callable[[str], str], tmp_path: Path
) -> Iterator[Cluster]:
    """Names and variables of one; what a test makes of them is removed."""
    name = unique("prune")
    variables = {
        "kic_cluster_name": name,
        "kic_cluster_image": node_image,
        "kic_image_name": node_image,
        "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig"),
        "kic_engine": "podman",
    }
    try:
        yield Cluster(name, podman, play, variables)
    finally:
        play(TEARDOWN, kic_cluster_name=name)


def deployment(app: str, node: str, **pod: Any) -> dict[str, Any]:
    """One pod on a node."""
    labels = {"app": app}
    container = {"name": "web", "image": IMAGE, "imagePullPolicy": "Never", **pod.pop("container", {})}
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        **pod,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def workload(node: str) -> str:
    """On one node: an application whose budget allows no disruption, one with a volume, and a pod of no controller."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "guard"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "labels": {"app": "bare"}},
        "spec": deployment("bare", node)["spec"]["template"]["spec"],
    }
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    items = [budget, claim, bare, deployment("guarded", node)]
    items.append(deployment("keeper", node, container=mounts, volumes=volumes))
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def result(played: Played) -> dict[str, Any]:
    """What the run did to the cluster."""
    return played.results("kic_cluster")[-1]


@pytest.mark.full("four minutes: a cluster of three nodes; units prove the order and each refusal too")
def test_workers_that_leave(cluster: Cluster, tmp_path: Path) -> None:
    """What is lost with a worker is refused before anything is changed, a budget keeps it, and then it leaves as check mode
    foretold: nothing of it is left, and a second run changes nothing. One whose container was lost leaves the API."""
    cluster.site(kic_cluster_workers=2)
    first, second = cluster.worker(1), cluster.worker(2)
    (tmp_path / "web.tar").write_bytes(build(tmp_path))
    cluster.podman.run("cp", str(tmp_path / "web.tar"), f"{second}:/var/lib/web.tar")
    cluster.podman.run("exec", second, "ctr", "-n", "k8s.io", "images", "import", "/var/lib/web.tar")
    cluster.kubectl("apply", "--filename=-", stdin=workload(second))
    cluster.until(lambda: all(cluster.running(app) for app in ("guarded", "keeper", "bare")))

    # Without a number it is as it is. With fewer and without prune nothing happens, and it is said what to type.
    played = cluster.site()
    assert played.changed == [] and "kic_cluster_prune" not in played.text
    played = cluster.site(kic_cluster_workers=1)
    assert played.changed == [] and "-e kic_cluster_prune=true" in played.text

    fewer: dict[str, Any] = {"kic_cluster_workers": 1, "kic_cluster_prune": True, "kic_cluster_drain_timeout": 8}
    refused = result(cluster.site(ok=False, **fewer))
    assert refused["diagnosis"]["id"] == "prune_refused" and not refused["changed"]
    assert "(default/data) on" in refused["msg"] and "default/bare" in refused["msg"]
    cluster.kubectl("delete", "pod", "bare")

    blocked = result(cluster.site(ok=False, kic_cluster_prune_data=True, **fewer))
    assert blocked["diagnosis"]["id"] == "drain_blocked", blocked["msg"]
    assert "default/guard: default/guarded-" in blocked["msg"] and "takes pods again" in blocked["msg"]
    assert cluster.nodes() == {cluster.plane: True, first: True, second: True}

    cluster.kubectl("delete", "pdb", "guard")
    foretold = result(cluster.site("--check", kic_cluster_prune_data=True, **fewer))
    assert cluster.nodes() == {cluster.plane: True, first: True, second: True}
    played = cluster.site(kic_cluster_prune_data=True, **fewer)
    assert foretold["actions"] == result(played)["actions"]
    assert cluster.of_nodes(played) == [
        f"cordon Kubernetes node {second}",
        f"drain Kubernetes node {second}",
        f"remove node {second}",
        f"remove volume {second}",
        f"delete Kubernetes node {second}",
    ]  # fmt: skip
    assert "goes the data of these claims" in played.text and "delete pvc data" in played.text
    assert cluster.nodes() == {cluster.plane: True, first: True}
    assert cluster.podman.held(second) == []
    assert cluster.podman.out("exec", cluster.plane, "ip", "-4", "route", "show", "proto", "76").count("via") == 1
    assert cluster.site(**fewer).changed == []

    # One whose container was lost, and then none is left: the control plane takes the pods.
    cluster.podman.run("rm", "--force", "--time", "1", first)
    played = cluster.site(kic_cluster_workers=0, kic_cluster_prune=True)
    assert cluster.of_nodes(played)[-2:] == [f"remove volume {first}", f"delete Kubernetes node {first}"]
    assert cluster.nodes() == {cluster.plane: True} and cluster.podman.held("worker") == []
    assert cluster.kubectl("get", "node", cluster.plane, "--output=jsonpath={.spec.taints}") == ""
    assert cluster.site(kic_cluster_workers=0, kic_cluster_prune=True).changed == []


@pytest.mark.full("four minutes: a worker that joins again in three ways; units prove the steps of each too")
def test_a_name_that_joins_again(cluster: Cluster) -> None:
    """A worker joins once more: that the API forgot, with its container or only its volume; whose container and volume were lost
    a moment ago, so that the API still has it as Ready; and one whose cluster was made anew."""
    variables: dict[str, Any] = {"kic_cluster_workers": 1}
    cluster.site(**variables)
    first = cluster.worker(1)

    def joins(*steps: str) -> None:
        found = result(cluster.site(**variables))["actions"]
        done = [item for item in found if item.startswith("run step")]
        # A kubelet whose credentials are still good may have registered its node by itself before the run inspects it.
        assert set(steps) <= set(done) or (not done and "run step reset" in steps and cluster.nodes().get(first)), found
        assert [item["ready"] for item in statuses()] == [True, True]
        assert cluster.site(**variables).changed == []

    def statuses() -> list[dict[str, Any]]:
        return list(result(cluster.site("--check", **variables))["cluster"]["statuses"])

    cluster.kubectl("delete", "node", first)
    joins("run step reset", "run step join")

    cluster.podman.run("rm", "--force", "--time", "1", first)
    cluster.kubectl("delete", "node", first)
    joins("run step reset", "run step join")

    cluster.kubectl("label", "node", first, "example.com/kept=yes")
    cluster.podman.run("rm", "--force", "--time", "1", first)
    cluster.podman.run("volume", "rm", first)
    joins("run step join")
    assert "yes" in cluster.kubectl("get", "node", first, "--output=jsonpath={.metadata.labels}")

    cluster.podman.run("rm", "--force", "--time", "1", cluster.plane)
    cluster.podman.run("volume", "rm", cluster.plane)
    joins("run step certificates", "run step reset", "run step join")


@pytest.mark.full("three minutes: workers by name with options of their own; units prove the plan too")
def test_workers_by_name(cluster: Cluster) -> None:
    """Each has the options, labels and taints of its own, which follow the declaration; those of others stay. One that the list
    does not name any more leaves."""
    database, small = f"{cluster.name}-db", f"{cluster.name}-small"
    plane = {"name": cluster.plane, "role": "control-plane", "labels": {"example.com/first": "yes"}}
    first = {"name": database, "cpus": 1, "labels": {"tier": "db", "old": "x"}, "taints": ["tier=db:NoSchedule"]}
    second = {"name": small, "memory": "700m"}
    cluster.site(kic_cluster_nodes=[plane, first, second])

    def seen(node: str) -> tuple[dict[str, str], list[dict[str, str]]]:
        item = json.loads(cluster.kubectl("get", "node", node, "--output=json"))
        labels = {key: value for key, value in item["metadata"]["labels"].items() if "kubernetes.io" not in key}
        return labels, item["spec"].get("taints", [])

    assert seen(database) == (first["labels"], [{"key": "tier", "value": "db", "effect": "NoSchedule"}])
    assert seen(small) == ({}, []) and seen(cluster.plane)[0] == plane["labels"]
    (limits,) = json.loads(cluster.podman.out("container", "inspect", small))
    assert limits["HostConfig"]["Memory"] == 700 << 20
    assert cluster.site(kic_cluster_nodes=[plane, first, second]).changed == []

    cluster.kubectl("label", "node", database, "mine=yes")
    cluster.kubectl("taint", "node", database, "mine=yes:PreferNoSchedule")
    changed = {**first, "labels": {"tier": "cache"}, "taints": []}
    assert result(cluster.site(kic_cluster_nodes=[plane, changed, second]))["actions"] == [
        "run step labels",
        "run step taints",
    ]
    labels, taints = seen(database)
    assert labels == {"tier": "cache", "mine": "yes"} and [item["key"] for item in taints] == ["mine"]

    played = cluster.site(kic_cluster_nodes=[plane, second], kic_cluster_prune=True)
    assert cluster.of_nodes(played)[-1] == f"delete Kubernetes node {database}"
    assert cluster.nodes() == {cluster.plane: True, small: True} and cluster.podman.held(database) == []
    assert cluster.site(kic_cluster_nodes=[plane, second], kic_cluster_prune=True).changed == []
