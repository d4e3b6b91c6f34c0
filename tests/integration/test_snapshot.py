# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters that are brought back to a snapshot, and clones of them."""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT
from .living import TEARDOWN, Cluster, Writer, living
from .test_documentation import block, shell

WORKLOAD = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: keeper}
spec:
  serviceName: keeper
  selector: {matchLabels: {app: keeper}}
  template:
    metadata: {labels: {app: keeper}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: keeper
          image: localhost/nodeforge.kic/local-path-helper:v1
          command: [/bin/sh, -c, "exec busybox httpd -f -p 8080 -h /data"]
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: v1
kind: Secret
metadata: {name: robot, annotations: {kubernetes.io/service-account.name: robot}}
type: kubernetes.io/service-account-token
"""


@contextmanager
def removed(cluster: Cluster, *names: str) -> Iterator[None]:
    """Remove the snapshots of a cluster in the end."""
    try:
        yield
    finally:
        for name in names:
            found = cluster.client.out("volume", "ls", "--format", "{{.Name}}").split()
            for volume in found:
                if volume.startswith(f"{cluster.name}.snapshot.{name}"):
                    cluster.client.run("volume", "rm", volume)


@pytest.fixture(params=["podman", "docker"])
def cluster(request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path) -> Iterator[Cluster]:
    """A cluster on each engine."""
    with living(request.param, request, unique("sn"), tmp_path) as found, removed(found, ""):
        yield found


@pytest.fixture
def clone(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """Another one, next to it."""
    name = f"{cluster.name}c"
    variables = {
        **cluster.variables,
        "kic_cluster_name": name,
        "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig-of-the-clone"),
    }
    try:
        yield replace(cluster, name=name, variables=variables)
    finally:
        engine = cluster.variables["kic_engine"]
        cluster.play(TEARDOWN, process_env=cluster.environment, kic_cluster_name=name, kic_engine=engine)


@pytest.fixture
def take(cluster: Cluster, run_module: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The module, which has to do what it predicts."""

    def run(name: str, **given: Any) -> dict[str, Any]:
        asked = {"cluster": cluster.name, "name": name, "engine": cluster.variables["kic_engine"], **given}
        told = run_module("kic_snapshot", check=True, process_env=cluster.environment, **asked)
        done = run_module("kic_snapshot", process_env=cluster.environment, **asked)
        assert done["actions"] == told["actions"], (told, done)
        return done

    return run


def kubectl(cluster: Cluster, *words: str, stdin: str | None = None, check: bool = True) -> str:
    """What kubectl says in the first control plane."""
    options = ("--interactive",) if stdin is not None else ()
    done = cluster.client.run("exec", *options, cluster.plane(1), "kubectl", *words, stdin=stdin, check=check)
    return str(done.stdout)


def kept(cluster: Cluster) -> str:
    """What the application holds in its volume."""
    end = time.monotonic() + 90
    while True:
        text = kubectl(cluster, "exec", "keeper-0", "--", "cat", "/data/text", check=False).strip()
        if text or time.monotonic() > end:
            return text
        time.sleep(1)


def keep(cluster: Cluster, text: str) -> None:
    """Have the application hold something."""
    kubectl(cluster, "rollout", "status", "statefulset/keeper", "--timeout=120s")
    kubectl(cluster, "exec", "keeper-0", "--", "sh", "-c", f"echo {shlex.quote(text)} >/data/text; sync")


def maps(cluster: Cluster) -> set[str]:
    """The ConfigMaps of the default namespace, but the authority."""
    found = json.loads(kubectl(cluster, "get", "configmaps", "--output=json"))["items"]
    return {item["metadata"]["name"] for item in found} - {"kube-root-ca.crt"}


def tokens(cluster: Cluster) -> set[str]:
    """The bootstrap tokens."""
    words = ("--namespace=kube-system", "get", "secrets", "--field-selector=type=bootstrap.kubernetes.io/token")
    return set(kubectl(cluster, *words, "--output=name").split())


def robot(cluster: Cluster) -> str:
    """The token of the service account that is kept as a Secret."""
    end = time.monotonic() + 60
    while not (found := kubectl(cluster, "get", "secret", "robot", "--output=jsonpath={.data.token}")):
        assert time.monotonic() < end
        time.sleep(0.5)
    return base64.b64decode(found).decode()


def opens(cluster: Cluster, *credentials: str) -> bool:
    """Whether the API knows who asks with these credentials."""
    words = ["--server=https://127.0.0.1:6443", "--insecure-skip-tls-verify", "--kubeconfig=/dev/null", *credentials]
    said = kubectl(cluster, *words, "auth", "whoami", check=False)
    return "system:serviceaccount" in said or "kubernetes-admin" in said


def address(cluster: Cluster, name: str) -> str:
    """That of a node."""
    form = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return str(cluster.client.out("inspect", form, name).strip())


@pytest.mark.full("four minutes on each engine; a restored cluster is in the quick set's story")
def test_restore_and_clone(
    cluster: Cluster, clone: Cluster, take: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """A snapshot is taken under load. The cluster comes back to it, as it is and after it was removed; and a clone has its data,
    the names of its nodes, and nothing that opens it."""
    cluster.site(kic_cluster_workers=1)
    worker = f"{cluster.name}-worker-1"
    nodes = (cluster.plane(1), worker)
    kubectl(cluster, "apply", "--filename=-", stdin=WORKLOAD)
    keep(cluster, "before")
    kubectl(cluster, "create", "configmap", "before")
    old_robot, server, addresses = robot(cluster), cluster.server(), [address(cluster, name) for name in nodes]
    assert opens(cluster, f"--token={old_robot}")

    writer = Writer(cluster.kubeconfig, tmp_path / "writer")
    with writer.working():
        taken = take("one")
    assert taken["snapshot"]["nodes"] == list(nodes) and taken["gap"] < 15
    print(f"{cluster.variables['kic_engine']}: held still for {taken['gap']} s, no answer for {writer.gap:.1f} s")
    assert take("one")["actions"] == []
    keep(cluster, "after")
    kubectl(cluster, "create", "configmap", "after")

    # Back to it, where it is.
    restored = {"kic_cluster_state": "restored", "kic_cluster_snapshot": "one"}
    done = cluster.predicted(**restored)
    assert f"restore data of node {worker}" in done and f"create node {worker}" not in done
    assert cluster.ready(cluster.plane(1)) == dict.fromkeys(nodes, True)
    assert kept(cluster) == "before"
    assert "before" in maps(cluster) and "after" not in maps(cluster)
    assert [address(cluster, name) for name in nodes] == addresses
    assert cluster.site() == []

    # Next to it.
    copied = {"kic_cluster_snapshot": f"{cluster.name}/one"}
    done = clone.predicted(**copied)
    assert "run step tokens" in done
    assert clone.ready(clone.plane(1)) == dict.fromkeys(nodes, True)
    assert clone.members(clone.plane(1)) == {cluster.plane(1)}
    assert kept(clone) == "before" and "before" in maps(clone)
    assert clone.site() == clone.site(**copied) == []
    assert not {address(clone, f"{clone.name}-worker-1"), address(clone, clone.plane(1))} & set(addresses)
    assert tokens(cluster) and not tokens(clone) & tokens(cluster)
    new_robot = robot(clone)
    assert new_robot != old_robot and opens(clone, f"--token={new_robot}") and not opens(clone, f"--token={old_robot}")
    admin = yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]
    for kind in ("certificate", "key"):
        content = base64.b64decode(admin[f"client-{kind}-data"]).decode()
        for one in (clone, cluster):
            one.client.run("exec", "--interactive", one.plane(1), "tee", f"/run/{kind}", stdin=content)
    keys = ("--client-certificate=/run/certificate", "--client-key=/run/key")
    assert opens(cluster, *keys) and not opens(clone, *keys)
    endpoints = json.loads(kubectl(clone, "get", "endpointslices", "kubernetes", "--output=json"))["endpoints"]
    assert [one["addresses"] for one in endpoints] == [[address(clone, clone.plane(1))]]
    keep(clone, "of the clone")
    assert kept(cluster) == "before"

    # Fewer nodes than it has data of.
    refused = cluster.play(
        ROOT / "playbooks" / "site.yml",
        process_env=cluster.environment,
        ok=False,
        **{**cluster.variables, **restored, "kic_cluster_workers": 0},
    )
    assert "snapshot_nodes" in refused.text or "more nodes than are declared" in refused.text
    assert kept(cluster) == "before"

    # And where it was removed.
    engine = cluster.variables["kic_engine"]
    cluster.play(TEARDOWN, process_env=cluster.environment, kic_cluster_name=cluster.name, kic_engine=engine)
    assert cluster.client.run("container", "inspect", worker, check=False).returncode != 0
    done = cluster.predicted(kic_cluster_snapshot="one")
    assert "run step certificates" not in done and f"create node {worker}" in done
    assert cluster.ready(cluster.plane(1)) == dict.fromkeys(nodes, True)
    assert kept(cluster) == "before" and [address(cluster, name) for name in nodes] == addresses
    assert server.startswith("https://127.0.0.1:")
    assert cluster.site() == []

    assert len(take("one", state="absent")["actions"]) == 3
    assert take("one", state="absent")["actions"] == []
    assert not [
        item for item in cluster.client.out("volume", "ls", "--format", "{{.Name}}").split() if ".snapshot." in item
    ]


@pytest.mark.full("eight minutes: eight nodes; the order has unit tests")
@pytest.mark.parametrize("cluster", ["podman"], indirect=True)
def test_three_control_planes(
    cluster: Cluster, clone: Cluster, take: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Of a cluster with three, no write that was acknowledged before the snapshot is lost; its clone has three of its own."""
    cluster.site(kic_cluster_control_planes=3, kic_cluster_workers=1)
    planes = {cluster.plane(number) for number in (1, 2, 3)}
    writer = Writer(cluster.kubeconfig, tmp_path / "writer")
    with writer.working():
        time.sleep(2)
        before = list(writer.written)
        take("three")
    kubectl(cluster, "create", "configmap", "after")
    cluster.predicted(kic_cluster_state="restored", kic_cluster_snapshot="three")
    assert set(before) <= maps(cluster) and "after" not in maps(cluster)
    assert cluster.members(cluster.plane(3)) == planes
    assert all(cluster.ready(cluster.plane(2)).values())
    assert cluster.site() == []
    engine = cluster.variables["kic_engine"]
    cluster.play(TEARDOWN, process_env=cluster.environment, kic_cluster_name=cluster.name, kic_engine=engine)
    clone.predicted(kic_cluster_snapshot=f"{cluster.name}/three")
    assert set(before) <= maps(clone)
    assert clone.members(clone.plane(2)) == planes
    assert clone.ready(clone.plane(3)) == dict.fromkeys([*planes, f"{cluster.name}-worker-1"], True)
    assert clone.site() == []


@pytest.mark.full("a minute and a half; the roles and the module are tested above")
@pytest.mark.parametrize("cluster", ["podman"], indirect=True)
def test_what_the_readme_says(cluster: Cluster, clone: Cluster, environment: dict[str, str], tmp_path: Path) -> None:
    """The play takes a snapshot and creates a clone of it; the command brings the cluster back."""
    cluster.site()
    text = block("- name: A snapshot before the tests")
    for old, new in (
        ("kic/before", f"{cluster.name}/before"),
        (": kic\n", f": {cluster.name}\n"),
        (": colleague", f": {clone.name}"),
    ):
        assert old in text
        text = text.replace(old, new)
    play = tmp_path / "snapshot.yml"
    play.write_text("---\n" + text)
    image = cluster.variables["kic_cluster_image"]
    variables = {"kic_image_reference": image, "kic_cluster_kubeconfig": clone.variables["kic_cluster_kubeconfig"]}
    cluster.play(play, **variables)
    assert clone.ready(clone.plane(1)) == {cluster.plane(1): True}
    kubectl(cluster, "create", "configmap", "after")
    more = " ".join(f"-e {key}={value}" for key, value in cluster.variables.items())
    shell(block("ARGS='-e kic_cluster_state").replace("ARGS='", f"ARGS='{more} "), ROOT, environment)
    assert "after" not in maps(cluster)


@pytest.mark.full("a minute; the killed lives of the unit tests end it everywhere")
@pytest.mark.parametrize("cluster", ["podman"], indirect=True)
def test_a_snapshot_that_was_ended(cluster: Cluster, take: Callable[..., dict[str, Any]]) -> None:
    """A run that is ended while the nodes hold still leaves them so; the next one takes the snapshot, and they go on."""
    cluster.site()
    volume = f"{cluster.name}.snapshot.one.{cluster.plane(1)}"
    labels = ("schema=1", f"part-of={cluster.name}.snapshot.one", "held=1")
    cluster.client.run("volume", "create", *(f"--label=nodeforge.kic.{item}" for item in labels), volume)
    cluster.client.run("pause", cluster.plane(1))
    done = take("one")
    assert f"resume node {cluster.plane(1)}" in done["actions"]
    assert cluster.client.out("inspect", "--format={{.State.Status}}", cluster.plane(1)).strip() == "running"
    assert cluster.site() == []
