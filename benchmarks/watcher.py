# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sees a node come up from outside, the same way for every tool that makes one.

It asks neither the tool nor the engine while the node comes up (each engine call would take a tenth of a core from
what is measured): it reads the files of the engine's store, looks at the node's file system through /proc and polls the
node's API server over one kept connection. Needs root, as rootful engines do.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import yaml

from .engines import Engine

PHASES = {
    "container": "container made",
    "certificates": "kubeadm's certificates and kubeconfigs written",
    "api": "API answers",
    "registered": "node registered",
    "ready": "node Ready",
}
"""The marks in the order in which they are reached, and what each means."""

INTERVAL = 0.02
"""Seconds between two looks; the error of each mark."""


class Watcher(threading.Thread):
    """Notes when a node reaches each phase; ``marks`` are seconds since ``started`` (time.monotonic)."""

    def __init__(self, engine: Engine, container: str, started: float) -> None:
        super().__init__(daemon=True)
        self.marks: dict[str, float] = {}
        self.ready = threading.Event()
        self._engine, self._container, self._began = engine, container, started
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """End the watch."""
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        """Watch until Ready or stopped."""
        with tempfile.TemporaryDirectory() as scratch:
            credentials = self._until(lambda: self._credentials(Path(scratch)))
            if credentials is None:
                return
            connection = http.client.HTTPSConnection(self._address(), 6443, timeout=2, context=credentials)
            self._until(lambda: self._node(connection))

    def _mark(self, phase: str) -> None:
        self.marks.setdefault(phase, time.monotonic() - self._began)

    def _until(self, look: Any) -> Any:
        """Repeat a look until it sees something; None when stopped before."""
        while not self._stop_asked.wait(INTERVAL):
            if (seen := look()) is not None:
                return seen
        return None

    def _credentials(self, scratch: Path) -> ssl.SSLContext | None:
        """The administrator's credentials, as soon as kubeadm has written them."""
        pid = self._engine.pid(self._container)
        # /kind/version: before the runtime has changed its root, the process still sees the host's files.
        if pid is None or not (root := Path(f"/proc/{pid}/root")).joinpath("kind/version").exists():
            return None
        self._mark("container")
        # super-admin.conf needs no role binding, which kubeadm makes only after the API is up.
        file = root / "etc/kubernetes/super-admin.conf"
        try:
            config = yaml.safe_load(file.read_bytes())
            (user,) = config["users"]
            (cluster,) = config["clusters"]
            pem = base64.b64decode(user["user"]["client-certificate-data"])
            pem += base64.b64decode(user["user"]["client-key-data"])
            context = ssl.create_default_context(
                cadata=base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode()
            )
        except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):  # not there yet, or half written
            return None
        # Reached by its address, whatever name the tool gave it; the authority is still checked.
        context.check_hostname = False
        chain = scratch / "client.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(pem)
        context.load_cert_chain(chain)
        self._mark("certificates")
        return context

    def _address(self) -> str:
        """The node's address on its network."""
        networks = self._engine.inspect(self._container)["NetworkSettings"]["Networks"]
        return str(next(network["IPAddress"] for network in networks.values() if network["IPAddress"]))

    def _node(self, connection: http.client.HTTPSConnection) -> bool | None:
        """True when the node is Ready; None until then."""
        try:
            connection.request("GET", "/api/v1/nodes")
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        if response.status != http.HTTPStatus.OK:
            return None
        self._mark("api")
        nodes = json.loads(body)["items"]
        if not nodes:
            return None
        self._mark("registered")
        conditions = {c["type"]: c["status"] for c in nodes[0]["status"].get("conditions", [])}
        if conditions.get("Ready") != "True":
            return None
        self._mark("ready")
        self.ready.set()
        return True


def memory(pid: int, container_id: str) -> dict[str, int]:
    """Bytes of memory of a container by its cgroup: the most it ever held, and what processes hold now (no cache)."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" not in controllers.split(",") and (
            number != "0" or not Path("/sys/fs/cgroup/cgroup.procs").exists()
        ):
            continue
        parts = Path(path).parts
        # The process may have moved itself to a group below the container's.
        (depth,) = [index for index, part in enumerate(parts) if container_id in part]
        v1 = controllers != ""
        group = Path("/sys/fs/cgroup", "memory" if v1 else "", *parts[1 : depth + 1])
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        peak = group / ("memory.max_usage_in_bytes" if v1 else "memory.peak")
        return {"peak": int(peak.read_text()), "processes": int(stat["total_rss" if v1 else "anon"])}
    raise RuntimeError(f"process {pid} is in no memory cgroup")
