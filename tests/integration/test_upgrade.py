# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters that are brought to another release of Kubernetes while somebody works with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import have_image
from .living import SITE, Cluster, Visitor, Writer, living

PORT = 30080
WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      # There is one worker, and while it is drained the control plane has to take them.
      tolerations: [{operator: Exists, key: node-role.kubernetes.io/control-plane}]
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
           labelSelector: {matchLabels: {app: web}}}
      containers:
        - name: web
          image: localhost/nodeforge.kic/local-path-helper:v1
          command: [/bin/sh, -c, "mkdir /w; hostname >/w/index.html; exec busybox httpd -f -p 8080 -h /w"]
          readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
          # Until everybody knows that it goes.
          lifecycle: {preStop: {exec: {command: [/bin/sh, -c, sleep 3]}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
"""


@pytest.fixture(params=["podman", "docker"])
def old(request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of 1.34 on each engine."""
    with living(request.param, request, unique("up"), tmp_path, kic_image_kubernetes_version="1.34") as found:
        yield found


@pytest.fixture
def new(old: Cluster) -> dict[str, str]:
    """The variables that name the image of the next release."""
    image = have_image(old.play, process_env=old.environment, kic_engine=old.variables["kic_engine"])
    return {"kic_cluster_image": image, "kic_image_name": image}


def kubectl(cluster: Cluster, *words: str, stdin: str | None = None) -> str:
    """What kubectl says in the first control plane."""
    options = ("--interactive",) if stdin is not None else ()
    done = cluster.client.run("exec", *options, cluster.plane(1), "kubectl", *words, stdin=stdin)
    return str(done.stdout)


def releases(cluster: Cluster) -> dict[str, str]:
    """The release of each kubelet, and of the control plane."""
    nodes = json.loads(kubectl(cluster, "get", "nodes", "--output=json"))["items"]
    found = {item["metadata"]["name"]: item["status"]["nodeInfo"]["kubeletVersion"][:5] for item in nodes}
    pods = json.loads(kubectl(cluster, "--namespace=kube-system", "get", "pods", "--output=json"))["items"]
    for pod in pods:
        for container in pod["spec"]["containers"]:
            if container["name"].startswith("kube-"):
                found[pod["metadata"]["name"]] = container["image"].rpartition(":")[2][:5]
    return found


def addresses(cluster: Cluster, *names: str) -> list[str]:
    """Those of nodes."""
    return [
        cluster.client.out("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name).strip()
        for name in names
    ]


@pytest.mark.full("the image of another release, which takes five minutes to compile, and three minutes on each engine")
def test_a_worker_and_a_control_plane(
    old: Cluster, new: dict[str, str], run_module: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """From 1.34 to 1.35 with a workload that answers throughout; nothing else than what was requested happens to the cluster.
    A node that cannot be drained stops it half-way, and the next run goes on there. A snapshot takes it back."""
    old.site(kic_cluster_workers=1)
    worker = f"{old.name}-worker-1"
    nodes = (old.plane(1), worker)
    assert set(releases(old).values()) == {"v1.34"}
    server, before = old.server(), addresses(old, *nodes)
    kubectl(old, "apply", "--filename=-", stdin=WORKLOAD)
    kubectl(old, "rollout", "status", "deployment/web", "--timeout=120s")

    # Without permission nothing changes, and nothing of the new release is created.
    assert old.site(**new) == []
    refused = old.play(
        SITE, process_env=old.environment, ok=False, **{**old.variables, **new, "kic_cluster_workers": 2}
    )
    assert "kic_cluster_upgrade: true" in refused.text and set(releases(old).values()) == {"v1.34"}

    snapshot = {"cluster": old.name, "name": "before", "engine": old.variables["kic_engine"]}
    assert run_module("kic_snapshot", process_env=old.environment, **snapshot)["changed"]

    writer = Writer(old.kubeconfig, tmp_path / "writer")
    visitor = Visitor([f"http://{address}:{PORT}/" for address in before])
    budget = ("patch", "poddisruptionbudget", "web", "--patch")
    upgraded = {**new, "kic_cluster_upgrade": True}
    with writer.working(), visitor.working():
        kubectl(old, *budget, '{"spec": {"minAvailable": 2}}')
        stopped = old.play(
            SITE,
            process_env=old.environment,
            ok=False,
            **{**old.variables, **upgraded, "kic_cluster_drain_timeout": 5},
        )
        assert "PodDisruptionBudget" in stopped.text and "It takes pods again" in stopped.text
        kubectl(old, *budget, '{"spec": {"minAvailable": 1}}')
        done = old.predicted(**upgraded)
    assert f"upgrade control plane {old.plane(1)}: v1.34.4 to v1.35.4" not in done
    assert [item.partition(":")[0] for item in done if item.startswith(("drain", "create", "upgrade"))] == [
        f"{verb} {name}"
        for name in nodes
        for verb in ("drain Kubernetes node", "create node", "upgrade Kubernetes on node")
    ]
    assert set(releases(old).values()) == {"v1.35"}
    assert old.ready(old.plane(1)) == dict.fromkeys(nodes, True)
    assert (old.server(), addresses(old, *nodes)) == (server, before)
    assert old.site(**new) == []
    assert writer.lost() == []
    print(f"{old.variables['kic_engine']}: API {writer.gap:.1f} s away, the service {visitor.gap:.1f} s")
    assert visitor.answers > 100 and visitor.gap < 5
    names = "{{.Names}}"
    assert "kic-image-" not in old.client.out("ps", "--all", "--format", names)

    old.predicted(kic_cluster_state="restored", kic_cluster_snapshot="before")
    assert set(releases(old).values()) == {"v1.34"}
    assert old.ready(old.plane(1)) == dict.fromkeys(nodes, True)
    assert (old.server(), addresses(old, *nodes)) == (server, before)
    assert old.site() == []
    assert run_module("kic_snapshot", process_env=old.environment, state="absent", **snapshot)["changed"]


@pytest.mark.full("ten minutes: four nodes, one after the other; the order has unit tests")
@pytest.mark.parametrize("old", ["podman"], indirect=True)
def test_three_control_planes(old: Cluster, new: dict[str, str], tmp_path: Path) -> None:
    """Three control planes and a worker, while somebody writes: nothing that was acknowledged is lost, and a node of the new
    release joins in the same run."""
    old.site(kic_cluster_control_planes=3, kic_cluster_workers=1)
    planes = {old.plane(number) for number in (1, 2, 3)}
    writer = Writer(old.kubeconfig, tmp_path / "writer")
    with writer.working():
        done = old.predicted(**new, kic_cluster_upgrade=True, kic_cluster_workers=2)
    control_planes = [done.index(f"upgrade control plane {name}: v1.34.4 to v1.35.4") for name in sorted(planes)]
    assert control_planes == sorted(control_planes) and control_planes[-1] < done.index("run step join")
    assert set(releases(old).values()) == {"v1.35"}
    workers = [f"{old.name}-worker-{number}" for number in (1, 2)]
    assert old.ready(old.plane(2)) == dict.fromkeys([*planes, *workers], True)
    assert old.members(old.plane(3)) == planes
    assert old.site(**new, kic_cluster_workers=2) == []
    assert writer.lost() == []
    print(f"{len(writer.written)} writes, the longest gap {writer.gap:.1f} s")
    assert writer.gap < 30
