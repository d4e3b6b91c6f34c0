# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster whose certificates end: check mode foretells their renewal, a run renews them, and access works again."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..conftest import ROOT
from .conftest import Client, Play, Played

SITE = ROOT / "playbooks" / "site.yml"
TEARDOWN = ROOT / "playbooks" / "teardown.yml"
END = Path(__file__).with_name("certificates_end.sh")
DAY = 86400
SECONDS = 120
AUTHORITIES = {"ca", "front-proxy-ca", "etcd-ca"}


@dataclass
class Aging:
    """A cluster of a control plane and a worker on this machine's podman."""

    name: str
    podman: Client
    play: Play
    run_module: Callable[..., dict[str, Any]]
    folder: Path
    image: str

    @property
    def nodes(self) -> list[str]:
        """The control plane and the worker."""
        return [f"{self.name}-control-plane-1", f"{self.name}-worker-1"]

    @property
    def kubeconfig(self) -> Path:
        """The user's."""
        return self.folder / "kubeconfig"

    def site(self, *arguments: str) -> Played:
        """Run site.yml."""
        variables: dict[str, Any] = {
            "kic_cluster_name": self.name,
            "kic_cluster_image": self.image,
            "kic_image_name": self.image,
            "kic_cluster_workers": 1,
            "kic_cluster_kubeconfig": str(self.kubeconfig),
            "kic_engine": "podman",
        }
        return self.play(SITE, *arguments, **variables)

    def end(self, seconds: int) -> None:
        """Have all certificates end in so many seconds."""
        plane, worker = self.nodes
        keys = self.podman.out("exec", plane, "sh", "-c", "tar -C /etc/kubernetes/pki -cz ca.crt ca.key | base64")
        unpack = "mkdir -p /run/pki && base64 -d | tar -C /run/pki -xz"
        self.podman.run("exec", "--interactive", worker, "sh", "-c", unpack, stdin=keys)
        for node in self.nodes:
            given = ("/run/pki",) if node == worker else ()
            command = ("exec", "--interactive", node, "bash", "-s", node, str(seconds), *given)
            self.podman.run(*command, stdin=END.read_text())
        self.podman.run("exec", worker, "rm", "-r", "/run/pki")

    def ends(self) -> dict[str, dict[str, datetime]]:
        """When each certificate of each node that runs ends."""
        found = self.run_module("kic_node_info", cluster=self.name)
        return {
            node["name"]: {item["name"]: moment(item["expires"]) for item in node["certificates"]}
            for node in found["nodes"]
            if node["certificates"] is not None
        }

    def restarted(self) -> None:
        """Have the nodes work with what their certificates are now."""
        known = self.ends()
        self.podman.run("restart", *self.nodes)
        deadline = time.monotonic() + SECONDS
        while self.ends() != known:
            assert time.monotonic() < deadline
            time.sleep(0.5)

    def left(self) -> timedelta:
        """What is left of the first that ends, the authorities apart."""
        first = min(value for found in self.ends().values() for name, value in found.items() if name not in AUTHORITIES)
        return first - datetime.now(timezone.utc)

    def ready_by_kubeconfig(self) -> dict[str, str]:
        """Whether each node is Ready, asked from this machine with the user's kubeconfig."""
        found = yaml.safe_load(self.kubeconfig.read_text())
        (cluster,), (user,) = found["clusters"], found["users"]
        parts = [cluster["cluster"]["certificate-authority-data"]]
        parts += [user["user"][f"client-{kind}-data"] for kind in ("certificate", "key")]
        paths = [self.folder / name for name in ("ca.crt", "client.crt", "client.key")]
        for path, text in zip(paths, parts):
            path.write_bytes(base64.b64decode(text))
        context = ssl.create_default_context(cafile=str(paths[0]))
        context.load_cert_chain(*map(str, paths[1:]))
        host, _colon, port = cluster["cluster"]["server"].removeprefix("https://").partition(":")
        connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)
        connection.request("GET", "/api/v1/nodes")
        items = json.loads(connection.getresponse().read())["items"]
        return {
            item["metadata"]["name"]: next(c["status"] for c in item["status"]["conditions"] if c["type"] == "Ready")
            for item in items
        }

    def renewed_as_foretold(self) -> list[str]:
        """Check mode changes nothing and foretells what the run does, and the next run does nothing; what it did."""
        before = self.ends(), self.kubeconfig.read_text()
        foretold = self.site("--check", "--diff")
        assert (self.ends(), self.kubeconfig.read_text()) == before
        began = time.monotonic()
        done = self.site()
        print(f"renewed in {time.monotonic() - began:.1f} s")
        assert actions(done) == actions(foretold)
        assert f"write context kic-{self.name}: {self.kubeconfig}" in actions(done)
        assert self.left() > timedelta(days=364)
        assert self.site().changed == []
        assert self.ready_by_kubeconfig() == dict.fromkeys(self.nodes, "True")
        return [item for item in actions(done) if " step " in item]


def moment(text: str) -> datetime:
    """The time of a certificate's end."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def actions(played: Played) -> list[str]:
    """What a run did to the cluster, or would do."""
    found: list[str] = played.results("kic_cluster")[-1]["actions"]
    return found


@pytest.fixture
def aging(
    podman: Client,
    play: Play,
    node_image: str,
    run_module: Callable[..., dict[str, Any]],
    unique: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Aging]:
    """A cluster that is there."""
    found = Aging(unique("aging"), podman, play, run_module, tmp_path, node_image)
    try:
        found.site()
        yield found
    finally:
        play(TEARDOWN, kic_cluster_name=found.name)


BY_KUBEADM = (
    "apiserver, apiserver-kubelet-client, front-proxy-client, apiserver-etcd-client, etcd-server, etcd-peer,"
    " etcd-healthcheck-client, admin.conf, super-admin.conf, controller-manager.conf, scheduler.conf"
)
RENEWED = [
    f"run step renew-certificates: {BY_KUBEADM}",
    "run step renew-kubelet-certificates: kubelet-client, kubelet-server",
    "run step restart: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet",
    "run step renew-kubelet-certificates: kubelet-client, kubelet-server",
    "run step restart: kubelet",
]


@pytest.mark.full(
    "five minutes: a cluster of two nodes, renewed three times; units prove what is due, the order and each interruption"
)
def test_certificates_that_end(aging: Aging) -> None:
    """Whether they end soon while the API answers, or all have ended and it does not: one run, and access works."""
    assert set(aging.ends()[aging.nodes[1]]) == {"ca", "kubelet-client", "kubelet-server"}
    assert aging.left() > timedelta(days=364)
    aging.end(20 * DAY)
    assert aging.renewed_as_foretold() == RENEWED
    aging.end(-DAY)
    assert aging.left() < timedelta()
    aging.restarted()
    with pytest.raises((OSError, http.client.HTTPException, KeyError)):
        aging.ready_by_kubeconfig()
    assert aging.renewed_as_foretold() == RENEWED
    aging.end(-DAY)
    aging.podman.run("stop", *aging.nodes)
    assert aging.ends() == {}
    assert aging.renewed_as_foretold() == RENEWED
