# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters of three control planes: each may be lost while somebody works through the API, and one becomes three and one again."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from .conftest import ROOT, Client, Play, Played, have_image

SITE, TEARDOWN = ROOT / "playbooks" / "site.yml", ROOT / "playbooks" / "teardown.yml"
END = Path(__file__).with_name("certificates_end.sh")
MAPS = "/api/v1/namespaces/default/configmaps"


@dataclass
class Writer:
    """Somebody who writes and reads objects through the API that the kubeconfig names, one after the other."""

    kubeconfig: Path
    folder: Path
    written: list[str] = field(default_factory=list)
    """Names of the objects that the API acknowledged."""
    gap: float = 0.0
    """The longest time without an answer, in seconds."""
    _number: int = 0
    _end: threading.Event = field(default_factory=threading.Event)

    def _connect(self) -> http.client.HTTPSConnection:
        found = yaml.safe_load(self.kubeconfig.read_text())
        server, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        files = {}
        for name, data in (
            ("ca", server["certificate-authority-data"]),
            ("cert", user["client-certificate-data"]),
            ("key", user["client-key-data"]),
        ):
            files[name] = self.folder / f"{name}.pem"
            files[name].write_bytes(base64.b64decode(data))
        context = ssl.create_default_context(cafile=str(files["ca"]))
        context.load_cert_chain(files["cert"], files["key"])
        address = urlsplit(server["server"])
        return http.client.HTTPSConnection(str(address.hostname), address.port, timeout=3, context=context)

    def _ask(self, api: http.client.HTTPSConnection, method: str, path: str, body: Any = None) -> Any:
        text = json.dumps(body) if body is not None else None
        api.request(method, path, text, {"Content-Type": "application/json"})
        answer = api.getresponse()
        content = json.loads(answer.read())
        if answer.status not in (200, 201):
            raise OSError(f"{answer.status}: {content}")
        return content

    def _work(self) -> None:
        self.folder.mkdir(exist_ok=True)
        api, last = self._connect(), time.monotonic()
        while not self._end.is_set():
            self._number += 1
            name = f"written-{self._number}"
            try:
                self._ask(api, "POST", MAPS, {"metadata": {"name": name}})
                self.written.append(name)
                self._ask(api, "GET", f"{MAPS}/{self.written[0]}")
                now = time.monotonic()
                self.gap, last = max(self.gap, now - last), now
            except (OSError, http.client.HTTPException, ValueError):
                api.close()
                api = self._connect()
            time.sleep(0.05)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work until the end of the block."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()
            self._end.clear()

    def lost(self) -> list[str]:
        """What was acknowledged and is not there."""
        found = self._ask(self._connect(), "GET", MAPS)
        return sorted(set(self.written) - {item["metadata"]["name"] for item in found["items"]})


@dataclass
class Cluster:
    """A cluster, on either engine."""

    name: str
    client: Client
    play: Play
    variables: dict[str, Any]
    environment: dict[str, str] | None = None

    @property
    def kubeconfig(self) -> Path:
        """The user's."""
        return Path(self.variables["kic_cluster_kubeconfig"])

    def plane(self, number: int) -> str:
        """A control plane."""
        return f"{self.name}-control-plane-{number}"

    @property
    def balancer(self) -> str:
        """The container that offers the API."""
        return f"{self.name}-load-balancer"

    def site(self, *arguments: str, **given: Any) -> list[str]:
        """Run site.yml; what it did to the cluster. What it did to the boot of the machine depends on the machine."""
        played: Played = self.play(SITE, *arguments, process_env=self.environment, **{**self.variables, **given})
        actions = played.results("kic_cluster")[-1]["actions"]
        return [item for item in actions if " boot unit " not in item and " restart policy " not in item]

    def predicted(self, **given: Any) -> list[str]:
        """Run site.yml in check mode and for real, which have to do the same."""
        expected = self.site("--check", **given)
        done = self.site(**given)
        assert done == expected
        return done

    def ready(self, inside: str) -> dict[str, bool]:
        """The nodes of the API and whether they are Ready, as one control plane says it."""
        text = self.client.out("exec", inside, "kubectl", "get", "nodes", "--output=json")
        conditions = {item["metadata"]["name"]: item["status"]["conditions"] for item in json.loads(text)["items"]}
        return {
            name: any((one["type"], one["status"]) == ("Ready", "True") for one in found)
            for name, found in conditions.items()
        }

    def members(self, inside: str) -> set[str]:
        """The members of etcd that vote."""
        pki = "/etc/kubernetes/pki/etcd"
        keys = ["--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/healthcheck-client.crt"]
        keys += ["--key", f"{pki}/healthcheck-client.key"]
        words = ["curl", "--silent", *keys, "--data", "{}", "https://127.0.0.1:2379/v3/cluster/member/list"]
        members = json.loads(self.client.out("exec", inside, *words))["members"]
        return {item["name"] for item in members if not item.get("isLearner")}

    def server(self) -> str:
        """Where the kubeconfig leads."""
        return str(yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])

    def published(self, container: str) -> str:
        """Where a container publishes the API."""
        return f"https://{self.client.out('port', container, '6443/tcp').strip()}"

    def until_answered(self, inside: str, seconds: float = 60) -> None:
        """Wait until the API of one control plane is ready."""
        end = time.monotonic() + seconds
        words = ("exec", inside, "kubectl", "--server=https://127.0.0.1:6443", "get", "--raw", "/readyz")
        while self.client.run(*words, check=False).stdout.strip() != "ok":
            assert time.monotonic() < end, self.client.out("ps", "--all")
            time.sleep(0.3)


@pytest.fixture(params=["podman", "docker"])
def cluster(
    request: pytest.FixtureRequest,
    play: Play,
    unique: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Cluster]:
    """Names and variables of one on each engine; what a test makes of them is removed."""
    engine, name = request.param, unique("ha")
    client: Client = request.getfixturevalue(engine)
    there: dict[str, str] | None = None
    if engine == "docker":
        there = {
            str(key): client.environment[key] for key in ("DOCKER_HOST", "DOCKER_CONFIG") if key in client.environment
        }
    image = have_image(play, process_env=there, kic_engine=engine)
    variables = {
        "kic_engine": engine,
        "kic_cluster_name": name,
        "kic_cluster_image": image,
        "kic_image_name": image,
        "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig"),
    }
    try:
        yield Cluster(name, client, play, variables, there)
    finally:
        play(TEARDOWN, process_env=there, kic_cluster_name=name, kic_engine=engine)
        left = client.out("ps", "--all", "--filter", f"label=nodeforge.kic.cluster={name}", "--format", "{{.Names}}")
        assert left.split() == []


@pytest.mark.full("a cluster of four nodes on each engine; the order of what is done is unit tests")
def test_each_may_be_lost(cluster: Cluster, tmp_path: Path) -> None:
    """Three control planes and a worker; each is killed in turn while somebody writes, and the container that offers the API
    too. Nothing that was acknowledged is lost, and one run brings back what was killed, as check mode says. A control plane
    that is lost with its volume joins again."""
    asked = {"kic_cluster_control_planes": 3, "kic_cluster_workers": 1}
    cluster.predicted(**asked)
    assert cluster.site(**asked) == []
    planes = {cluster.plane(number) for number in (1, 2, 3)}
    assert cluster.ready(cluster.plane(1)) == dict.fromkeys([*planes, f"{cluster.name}-worker-1"], True)
    assert cluster.members(cluster.plane(1)) == planes
    assert cluster.server() == cluster.published(cluster.balancer)

    writer = Writer(cluster.kubeconfig, tmp_path / "writer")
    for number in (1, 2, 3):
        with writer.working():
            cluster.client.run("kill", cluster.plane(number))
            time.sleep(8)
            begun = len(writer.written)
            time.sleep(2)
            assert len(writer.written) > begun, "nobody can write any more"
            # What comes back is what was killed, and nothing else is touched.
            assert cluster.predicted() == [f"start node {cluster.plane(number)}"]
            cluster.until_answered(cluster.plane(number))
        assert writer.lost() == []
    print(f"{cluster.variables['kic_engine']}: {len(writer.written)} writes, the longest gap {writer.gap:.1f} s")
    assert writer.gap < 30

    cluster.client.run("kill", cluster.balancer)
    assert cluster.site() == [f"start node {cluster.balancer}"]
    assert writer.lost() == []

    first = cluster.plane(1)
    cluster.client.run("rm", "--force", first)
    cluster.client.run("volume", "rm", first)
    joined = cluster.predicted()
    assert f"create node {first}" in joined and "run step join" in joined and "run step etcd" not in joined
    assert cluster.site() == [] and cluster.members(first) == planes
    assert writer.lost() == []


@pytest.mark.full("a cluster that grows and shrinks on each engine; the order of what is done is unit tests")
def test_one_three_one(cluster: Cluster, tmp_path: Path) -> None:
    """One control plane becomes three and one again while it is used: no node is replaced, the kubeconfig follows, and data is
    kept. Without permission nothing leaves."""
    cluster.site(kic_cluster_workers=1)
    own = cluster.published(cluster.plane(1))
    assert cluster.server() == own
    kept = {
        name: cluster.client.out("inspect", "--format={{.Id}}", name)
        for name in (cluster.plane(1), f"{cluster.name}-worker-1")
    }
    writer = Writer(cluster.kubeconfig, tmp_path / "writer")
    with writer.working():
        time.sleep(1)
        cluster.predicted(kic_cluster_control_planes=3)
    assert cluster.server() == cluster.published(cluster.balancer) != own
    assert cluster.site() == []
    # All of them are down for a moment, and etcd has its members and its data again.
    restarted = cluster.predicted(kic_cluster_state="restarted")
    up = [*(cluster.plane(number) for number in (1, 2, 3)), f"{cluster.name}-worker-1", cluster.balancer]
    assert sorted(restarted) == sorted(f"{verb} node {name}" for name in up for verb in ("stop", "start"))
    assert len(cluster.members(cluster.plane(3))) == 3 and writer.lost() == []
    assert cluster.site() == []
    stays = cluster.play(SITE, process_env=cluster.environment, **cluster.variables, kic_cluster_control_planes=1)
    assert stays.results("kic_cluster")[-1]["actions"] == []
    assert "kic_cluster_prune=true" in stays.text and "set kic_cluster_control_planes to" in stays.text
    left = cluster.predicted(kic_cluster_control_planes=1, kic_cluster_prune=True)
    assert [item for item in left if "etcd" in item or "balancer" in item] == [
        f"remove etcd member {cluster.plane(2)}",
        f"remove etcd member {cluster.plane(3)}",
        f"remove node {cluster.balancer}",
    ]
    assert cluster.server() == own and cluster.members(cluster.plane(1)) == {cluster.plane(1)}
    assert cluster.site(kic_cluster_control_planes=1, kic_cluster_prune=True) == []
    assert writer.lost() == []
    assert kept == {name: cluster.client.out("inspect", "--format={{.Id}}", name) for name in kept}


@pytest.mark.full("three minutes; the order of a renewal is unit tests")
@pytest.mark.parametrize("cluster", ["podman"], indirect=True)
def test_all_certificates_ended(cluster: Cluster) -> None:
    """Where the certificates of all three have ended, etcd has no majority and no API answers: one run renews them all, as check
    mode says, and the next one changes nothing."""
    cluster.site(kic_cluster_control_planes=3)
    planes = [cluster.plane(number) for number in (1, 2, 3)]
    for name in planes:
        cluster.client.run("exec", "--interactive", name, "bash", "-s", name, "-100", stdin=END.read_text())
    cluster.client.run("restart", *planes)
    done = cluster.predicted()
    assert [item.partition(":")[0] for item in done].count("run step renew-certificates") == 3
    assert cluster.site() == []
    assert cluster.ready(cluster.plane(2)) == dict.fromkeys(planes, True)
