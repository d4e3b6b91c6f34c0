# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images in nodes: from the engine's store and from archives, and pods that run them."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Client, Play, have_image, own_names
from .dockerd import Daemon
from .workload import build, docker_archive, tar

Run = Callable[..., dict[str, Any]]

SITE = ROOT / "playbooks" / "site.yml"
TEARDOWN = ROOT / "playbooks" / "teardown.yml"
POD_SECONDS = 120


def sample(name: str, text: str) -> bytes:
    """A small image whose content is ``text``."""
    return docker_archive(name, tar({"x": (text.encode(), 0o644)}), "amd64", {"Cmd": ["/x"]})


@pytest.fixture
def images(podman: Client) -> Iterator[Callable[[str], str]]:
    """Names of images that are removed from the store in the end."""
    with own_names(podman) as name:
        given: list[str] = []

        def image(prefix: str) -> str:
            given.append(name(prefix))
            return f"{given[-1]}:1"

        yield image
        for item in given:
            podman.run("rmi", "--force", f"localhost/{item}:1", check=False)


@pytest.fixture
def nodes(run_module: Run, node_image: str, unique: Callable[[str], str]) -> list[str]:
    """A cluster of two nodes without Kubernetes; its name and theirs."""
    cluster = unique("images")
    found = [cluster, f"{cluster}-1", f"{cluster}-2"]
    for name in found[1:]:
        made = run_module("kic_node", name=name, cluster=cluster, image=node_image, engine="podman", volume="none")
        assert not made.get("failed"), made
    return found


def in_node(podman: Client, node: str) -> set[str]:
    """Names of the images that a node holds."""
    return set(podman.out("exec", node, "ctr", "--namespace", "k8s.io", "images", "ls", "--quiet").split())


def foretold(run_module: Run, **given: Any) -> dict[str, Any]:
    """What a run does, after check mode has said so and changed nothing."""
    said = run_module("kic_node_image", check=True, engine="podman", **given)
    done = run_module("kic_node_image", engine="podman", **given)
    for key in ("failed", "changed", "actions", "diff", "images"):
        assert said.get(key) == done.get(key), (key, said, done)
    return done


def test_store_and_archives(
    run_module: Run, podman: Client, nodes: Sequence[str], images: Callable[[str], str], tmp_path: Path
) -> None:
    """Loaded once into each node, by both names of a short one; skipped where it is; moved and removed again."""
    cluster, first, second = nodes
    app, other = images("app"), images("other")
    podman.run("load", "--input", str(_written(tmp_path / "app.tar", sample(f"localhost/{app}", "one"))))
    folder = tmp_path / "archives"
    folder.mkdir()
    _written(folder / "other.tar.gz", gzip.compress(sample(f"registry.example/{other}", "other")))
    short = {f"docker.io/library/{app}", f"localhost/{app}"}
    asked: dict[str, Any] = {"cluster": cluster, "images": [app, str(folder)]}
    done = foretold(run_module, **asked)
    assert done["changed"] and len(done["actions"]) == 4
    for node in (first, second):
        assert {*short, f"registry.example/{other}"} <= in_node(podman, node)
        assert f"sha256:{podman.out('image', 'inspect', app, '--format', '{{.Id}}')}" in in_node(podman, node)
    assert foretold(run_module, **asked)["actions"] == []
    # The tag moves, and one node has lost a name of it.
    podman.run("load", "--input", str(_written(tmp_path / "app.tar", sample(f"localhost/{app}", "two"))))
    podman.run("exec", first, "ctr", "--namespace", "k8s.io", "images", "rm", f"localhost/{app}")
    done = foretold(run_module, **asked)
    assert done["actions"] == [f"load image {app} into {node}" for node in (first, second)]
    assert done["diff"]["before"][second][f"localhost/{app}"] != done["diff"]["after"][second][f"localhost/{app}"]
    podman.run("exec", first, "ctr", "--namespace", "k8s.io", "images", "rm", f"localhost/{app}")
    assert foretold(run_module, **asked)["actions"] == [f"name image {app} in {first}"]
    done = foretold(run_module, **asked, state="absent")
    assert len(done["actions"]) == 2 and not any(app in name for name in in_node(podman, first))
    assert not foretold(run_module, **asked, state="absent")["changed"]


@pytest.mark.full("two more nodes; each diagnosis is a unit test, and loads are in the quick set")
def test_what_goes_wrong(
    run_module: Run, podman: Client, nodes: Sequence[str], images: Callable[[str], str], tmp_path: Path
) -> None:
    """A damaged layer, half an archive, a disk that is full, a containerd that does not answer, a node that is stopped."""
    cluster, first, second = nodes
    app = images("app")
    whole = sample(f"localhost/{app}", "one" * 100)

    def refused(condition: str, *given: str, **more: Any) -> dict[str, Any]:
        found = run_module("kic_node_image", engine="podman", images=list(given), **{"cluster": cluster, **more})
        assert found.get("failed") and found["diagnosis"]["id"] == condition, found
        return found

    damaged = _written(tmp_path / "damaged.tar", whole.replace(b"one" * 100, b"two" * 100))
    refused("archive_unusable", str(damaged))
    assert not any(app in name for name in in_node(podman, first))
    refused("archive_unusable", str(_written(tmp_path / "half.tar", whole[: len(whole) // 2])))
    refused("image_missing", app)
    archive = str(_written(tmp_path / "whole.tar", whole))
    mount = ("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", "/var/lib/containerd/nodeforge.kic.images")
    podman.run("exec", first, "umount", mount[-1], check=False)
    podman.run("exec", first, "mkdir", "-p", mount[-1])
    podman.run("exec", first, *mount)
    full = refused("node_disk_full", archive)
    assert full["actions"] == [f"load image localhost/{app} into {second}: {archive}"] and full["changed"]
    podman.run("exec", first, "umount", mount[-1])
    podman.run("exec", second, "systemctl", "stop", "containerd")
    foretold_ = run_module("kic_node_image", check=True, engine="podman", cluster=cluster, images=[archive])
    assert not foretold_.get("failed"), foretold_
    podman.run("exec", second, "systemctl", "start", "containerd")
    assert foretold(run_module, cluster=cluster, images=[archive])["actions"] == [
        f"load image localhost/{app} into {first}: {archive}"
    ]
    podman.run("stop", "--time", "2", second)
    refused("node_not_running", archive)
    refused("node_missing", archive, nodes=[f"{cluster}-3"])


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.full(
    "a cluster that gets a worker later; loads are in the quick set, and the order of operations in unit tests"
)
def test_a_cluster_runs_them(
    play: Play,
    podman: Client,
    node_image: str,
    images: Callable[[str], str],
    unique: Callable[[str], str],
    tmp_path: Path,
) -> None:
    """A pod on each node, also on a worker that joins later, by the short name and by the one of podman."""
    cluster, app = unique("images"), images("web")
    variables: dict[str, Any] = {
        "kic_engine": "podman",
        "kic_cluster_name": cluster,
        "kic_cluster_image": node_image,
        "kic_image_name": node_image,
        "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig"),
        "kic_cluster_images": [app],
    }
    podman.run("load", "--input", str(_written(tmp_path / "web.tar", build(tmp_path, f"localhost/{app}"))))
    try:
        made = play(SITE, **variables)
        assert f"load image {app} into {cluster}-control-plane-1" in str(made.results("kic_cluster")[-1]["actions"])
        _runs(podman, f"{cluster}-control-plane-1", f"{cluster}-control-plane-1", app)
        assert play(SITE, **variables).changed == []
        more = play(SITE, **variables, kic_cluster_workers=1)
        loads = [text for text in more.results("kic_cluster")[-1]["actions"] if text.startswith("load image")]
        assert loads == [f"load image {app} into {cluster}-worker-1"]
        _runs(podman, f"{cluster}-control-plane-1", f"{cluster}-worker-1", app)
    finally:
        play(TEARDOWN, **variables)


def _runs(podman: Client, plane: str, node: str, app: str) -> None:
    """A pod for each name becomes ready on the node."""
    containers = [{"name": "web", "image": name, "imagePullPolicy": "Never"} for name in (app, f"localhost/{app}")]
    name = f"images-{node[-8:]}"
    for number, item in enumerate(containers):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{name}-{number}"},
            "spec": {"nodeName": node, "containers": [item], "terminationGracePeriodSeconds": 1},
        }
        podman.run("exec", "--interactive", plane, "kubectl", "apply", "--filename=-", stdin=json.dumps(pod))
    end = time.monotonic() + POD_SECONDS
    ready = ""
    while ready != "True True":
        assert time.monotonic() < end, podman.run("exec", plane, "kubectl", "describe", "pods").stdout[-3000:]
        path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
        field = f"--field-selector=spec.nodeName={node}"
        ready = podman.out("exec", plane, "kubectl", "get", "pods", field, f"--output=jsonpath={path}")
        time.sleep(0.5)


@pytest.mark.full("a daemon and a node in it; the same way by podman is in the quick set")
def test_docker(run_module: Run, play: Play, podman: Client, unique: Callable[[str], str], tmp_path: Path) -> None:
    """An image of docker's store, whose short name has no localhost/ there."""
    del podman
    cluster, app = unique("images"), f"{unique('app')}:1"
    with Daemon.running(tmp_path / "docker") as daemon:
        client = daemon.client
        there = {key: client.environment[key] for key in ("DOCKER_HOST", "DOCKER_CONFIG")}
        image = have_image(play, process_env=there, kic_engine="docker")
        client.run("load", "--input", str(_written(tmp_path / "app.tar", sample(app, "one"))))
        node = {"name": f"{cluster}-1", "cluster": cluster, "image": image, "engine": "docker", "volume": "none"}
        made = run_module("kic_node", process_env=there, **node)
        assert not made.get("failed"), made
        asked: dict[str, Any] = {"cluster": cluster, "images": [app], "engine": "docker", "process_env": there}
        done = run_module("kic_node_image", **asked)
        assert done.get("actions") == [f"load image {app} into {cluster}-1"], done
        assert {f"docker.io/library/{app}", f"localhost/{app}"} <= in_node(client, f"{cluster}-1")
        assert run_module("kic_node_image", **asked)["actions"] == []
        client.empty()
