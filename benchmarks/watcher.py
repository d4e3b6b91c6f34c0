# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sees a cluster's nodes come up from outside, the same way for every tool that makes one.

It asks neither the tool nor the engine while they come up (each engine call would take a tenth of a core from
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
    "registered": "all nodes registered",
    "ready": "all nodes Ready",
}
"""The marks in the order in which they are reached, and what each means."""

INTERVAL = 0.02
"""Seconds between two looks; the error of each mark."""


class Watcher(threading.Thread):
    """Notes when the nodes reach each phase; ``marks`` are seconds since ``started`` (time.monotonic).

    :param container: the first node's, which runs the control plane.
    :param nodes: how many there will be.
    """

    def __init__(self, engine: Engine, container: str, started: float, nodes: int) -> None:
        super().__init__(daemon=True)
        self.marks: dict[str, float] = {}
        self.ready = threading.Event()
        self._engine, self._container, self._began, self._count = engine, container, started, nodes
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
            self._until(lambda: self._nodes(connection))

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

    def _nodes(self, connection: http.client.HTTPSConnection) -> bool | None:
        """True when all nodes are Ready; None until then."""
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
        # A node of ours is created in the API before its kubelet runs; it is registered when that has reported.
        reported = [node["status"]["conditions"] for node in nodes if node["status"].get("conditions")]
        if len(reported) < self._count:
            return None
        self._mark("registered")
        if any(_ready(conditions).get("status") != "True" for conditions in reported):
            return None
        self._mark("ready")
        self.ready.set()
        return True


def _ready(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    """The condition Ready of a node, {} where it has none."""
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def memory(pid: int, container_id: str) -> dict[str, int]:
    """Bytes of memory of a container by its cgroup: the most it ever held, and what processes hold now (no cache)."""
    group, version = _group(pid, container_id)
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    peak = group / ("memory.max_usage_in_bytes" if version == 1 else "memory.peak")
    return {"peak": int(peak.read_text()), "processes": int(stat["total_rss" if version == 1 else "anon"])}


def proportional_memory(pid: int, container_id: str) -> int:
    """Bytes of a container's processes, of what several share their share: the sum of PSS (proc(5), smaps_rollup)."""
    group, _version = _group(pid, container_id)
    total = 0
    for member in sorted({line for path in group.rglob("cgroup.procs") for line in path.read_text().split()}):
        try:
            rollup = Path("/proc", member, "smaps_rollup").read_text()
        except OSError:  # it has ended
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024


def _group(pid: int, container_id: str) -> tuple[Path, int]:
    """The container's group of the memory controller, and the version of that hierarchy."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" not in controllers.split(",") and (
            number != "0" or not Path("/sys/fs/cgroup/cgroup.procs").exists()
        ):
            continue
        parts = Path(path).parts
        # The process may have moved itself to a group below the container's.
        (depth,) = [index for index, part in enumerate(parts) if container_id in part]
        first = controllers != ""
        return Path("/sys/fs/cgroup", "memory" if first else "", *parts[1 : depth + 1]), 1 if first else 2
    raise RuntimeError(f"process {pid} is in no memory cgroup")
