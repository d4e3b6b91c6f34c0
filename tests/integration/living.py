# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters that are changed while somebody works with them."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from .conftest import ROOT, Client, Play, Played, have_image

SITE, TEARDOWN = ROOT / "playbooks" / "site.yml", ROOT / "playbooks" / "teardown.yml"
MAPS = "/api/v1/namespaces/default/configmaps"


class Worker:
    """Somebody who works next to a test."""

    def __init__(self) -> None:
        self._end = threading.Event()

    def _work(self) -> None:
        """Go on until ``_end`` is set."""
        raise NotImplementedError

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


@dataclass
class Writer(Worker):
    """Somebody who writes and reads objects through the API that the kubeconfig names, one after the other."""

    kubeconfig: Path
    folder: Path
    written: list[str] = field(default_factory=list)
    """Names of the objects that the API acknowledged."""
    gap: float = 0.0
    """The longest time without an answer, in seconds."""
    _number: int = 0

    def __post_init__(self) -> None:
        super().__init__()

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


@dataclass
class Visitor(Worker):
    """Somebody who asks a service by the addresses of the nodes, as a load balancer in front of them does."""

    urls: list[str]
    gap: float = 0.0
    """The longest time without an answer of any node, in seconds."""
    answers: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def _answered(self, url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _work(self) -> None:
        last = time.monotonic()
        while not self._end.is_set():
            if any(self._answered(url) for url in self.urls):
                now = time.monotonic()
                self.gap, last, self.answers = max(self.gap, now - last), now, self.answers + 1
            time.sleep(0.1)


@contextmanager
def living(engine: str, request: pytest.FixtureRequest, name: str, folder: Path, **more: Any) -> Iterator[Cluster]:
    """Names and variables of a cluster on an engine; what a test makes of it is removed.

    :param more: variables of the image.
    """
    client: Client = request.getfixturevalue(engine)
    play: Play = request.getfixturevalue("play")
    there: dict[str, str] | None = None
    if engine == "docker":
        there = {
            str(key): client.environment[key] for key in ("DOCKER_HOST", "DOCKER_CONFIG") if key in client.environment
        }
    image = have_image(play, process_env=there, kic_engine=engine, **more)
    variables = {
        "kic_engine": engine,
        "kic_cluster_name": name,
        "kic_cluster_image": image,
        "kic_image_name": image,
        "kic_cluster_kubeconfig": str(folder / "kubeconfig"),
    }
    try:
        yield Cluster(name, client, play, variables, there)
    finally:
        play(TEARDOWN, process_env=there, kic_cluster_name=name, kic_engine=engine)
        left = client.out("ps", "--all", "--filter", f"label=nodeforge.kic.cluster={name}", "--format", "{{.Names}}")
        assert left.split() == []
